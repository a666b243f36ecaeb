/** Three digits, all of them before the point if there are more: 12,345, 123, 12.3, 1.23, 0.0123. */
export function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value === 0 ? '0' : value.toPrecision(3)
}

/** A part of one, in percent. */
export function formatPart(part: number): string {
  return `${Math.round(part * 100)} %`
}
