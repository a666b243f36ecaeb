/** Bytes `start` to `end`, both included; `total` is `undefined` where the server does not say. */
export interface ContentRange {
  readonly start: number
  readonly end: number
  readonly total: number | undefined
}

/** Fifteen digits are a petabyte, and stay exact as a number. */
const RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i
const UNSATISFIED = /^bytes \*\/(\d{1,15})$/i

/** RFC 9110 §14.4, the form that a 206 carries. */
export function parseContentRange(value: string | undefined): ContentRange | undefined {
  const match = RANGE.exec(value ?? '')
  if (match === null) return undefined
  const start = Number(match[1])
  const end = Number(match[2])
  const total = match[3] === '*' ? undefined : Number(match[3])
  const isSound = start <= end && (total === undefined || end < total)
  return isSound ? { start, end, total } : undefined
}

/** The size that a 416 tells, in the form without a range. */
export function parseUnsatisfiedRange(value: string | undefined): number | undefined {
  const match = UNSATISFIED.exec(value ?? '')
  return match === null ? undefined : Number(match[1])
}

/** Bytes; `undefined` if the header is absent or no number that we could count to. */
export function parseContentLength(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined
}
