/** Seconds: an upstream that wants us gone for longer is asked again after an hour all the same. */
const LONGEST = 3600

/** RFC 9110 §5.6.7: the one date format that servers may generate. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** Seconds, 1 to 3600, from either form of RFC 9110 §10.2.3; `undefined` for anything else. `now` in ms. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined || value.length > 40) return undefined
  const text = value.trim()
  if (/^\d+$/.test(text)) return clamp(Number(text))
  return HTTP_DATE.test(text) ? clamp(Math.ceil((Date.parse(text) - now) / 1000)) : undefined
}

function clamp(seconds: number): number | undefined {
  return Number.isNaN(seconds) ? undefined : Math.min(LONGEST, Math.max(1, seconds))
}
