import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const

const DURATION = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/
const MAX_LENGTH = 32

/** Ten years: enough to mean "for ever", and far from where milliseconds lose precision. */
const LONGEST = '3650d'

export const DURATION_FORMS = 'a duration such as "30s", "5m", "1h30m" or "30d"'

/** Milliseconds. `longest` is inclusive, in the same notation. */
export function readDuration(text: string, longest = LONGEST): Reading<number> {
  const ms = toMilliseconds(text)
  if (ms === undefined) return expected(DURATION_FORMS)
  return ms <= (toMilliseconds(longest) ?? 0)
    ? read(ms)
    : expected(`a duration of at most ${longest}`)
}

/** The shortest notation that reads back as the same number: `5400000` → `1h30m`. */
export function formatDuration(ms: number): string {
  let rest = ms
  let text = ''
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size)
    if (count > 0) text += `${count}${unit}`
    rest -= count * size
  }
  return text === '' ? '0s' : text
}

function toMilliseconds(text: string): number | undefined {
  // The length is checked first: the pattern is only ever run over a bounded text.
  if (text === '' || text.length > MAX_LENGTH) return undefined
  const match = DURATION.exec(text)
  if (match === null) return undefined
  let total = 0
  for (const [index, [, size]] of UNITS.entries()) total += Number(match[index + 1] ?? 0) * size
  return total
}
