import { styleText } from 'node:util'
import { printable } from '../observe/printable.ts'
import type { Hop } from '../probe/hop.ts'

const MARKS = {
  ok: ['ok', 'green'],
  warned: ['warn', 'yellow'],
  failed: ['FAIL', 'red'],
  skipped: ['-', 'dim'],
} as const satisfies Record<Hop['outcome'], readonly [string, 'green' | 'yellow' | 'red' | 'dim']>

const MARK_WIDTH = 6
const NAME_WIDTH = 12
const TIME_WIDTH = 9
const INDENT = ' '.repeat(MARK_WIDTH + NAME_WIDTH + TIME_WIDTH + 2)

/** A hop for a person: what it was, how long it took, what came of it, and below that the requests. */
export function hopLines(
  { name, outcome, text, ms, requests = [], advice }: Hop,
  hasColor: boolean,
): readonly string[] {
  const paint = (format: 'green' | 'yellow' | 'red' | 'dim' | 'bold', word: string) =>
    hasColor ? styleText(format, word, { validateStream: false }) : word
  const [mark, format] = MARKS[outcome]
  const head =
    paint(format, mark.padEnd(MARK_WIDTH)) +
    paint('bold', name.padEnd(NAME_WIDTH)) +
    `${formatMs(ms).padStart(TIME_WIDTH)}  `
  return [
    head + printable(text),
    ...requests.map((request) => {
      const { method, host, status = 'no answer', ms: took } = request
      const line = `${method} ${host}: ${status}, ${formatMs(took)}`
      return INDENT + paint('dim', printable(line))
    }),
    ...(advice === undefined ? [] : [`${INDENT}${paint('bold', 'to do:')} ${printable(advice)}`]),
  ]
}

function formatMs(ms: number | undefined): string {
  return ms === undefined ? '' : `${Math.round(ms)} ms`
}
