const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const
const DURATIONS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** `3.4 MB`, as `storage.maxSize` counts them: powers of ten. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** `3 min ago`, from two times in ms. */
export function formatAgo(at: number, now: number): string {
  const age = now - at
  return age < 1000 ? 'now' : `${formatSpan(age)} ago`
}

/** `3 min`, from milliseconds. */
export function formatSpan(ms: number): string {
  for (const [unit, size] of DURATIONS) {
    if (ms >= size) return `${Math.floor(ms / size)} ${unit}`
  }
  return '0 s'
}

/** `2026-11-21 15:03:20`, of the machine's own time zone. */
export function formatTime(at: number): string {
  const date = new Date(at)
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

function two(part: number): string {
  return String(part).padStart(2, '0')
}

/** `1 blob`, `2 blobs`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`
}

/** Enough of a digest to tell it from others by eye; `show` and JSON have the whole. */
export function shortDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13)
}
