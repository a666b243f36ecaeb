import { appendFile, readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'

declare module 'vitest' {
  interface ProvidedContext {
    /** A file to which the test files add their results; the table is printed from it at the end. */
    resultsFile: string
  }
}

/** One pull of a real client. */
interface Result {
  readonly client: string
  readonly addressing: string
  /** Its name, and what it is. */
  readonly registry: string
  readonly phase: Phase
  readonly ok: boolean
}

/** Nothing cached; cached with the upstream running; cached with the upstream's process ended. */
const PHASES = ['cold', 'warm', 'offline'] as const
export type Phase = (typeof PHASES)[number]

/** Does the work and keeps whether it gave what is expected. Answers what it gave. */
export async function recordResult<T>(
  file: string,
  cell: Omit<Result, 'ok'>,
  expected: T,
  work: () => Promise<T>,
): Promise<T> {
  let ok = false
  try {
    const actual = await work()
    ok = isDeepStrictEqual(actual, expected)
    return actual
  } finally {
    await appendFile(file, `${JSON.stringify({ ...cell, ok })}\n`)
  }
}

/** One row per client, addressing and registry; a cell is ok only if every pull in it was. `undefined` without pulls. */
export async function formatResults(file: string): Promise<string | undefined> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  if (lines.length === 0) return undefined
  const rows = new Map<string, { readonly head: readonly string[]; readonly cells: Cells }>()
  for (const line of lines) {
    const { client, addressing, registry, phase, ok } = JSON.parse(line) as Result
    const head = [client, addressing, registry]
    const row = rows.get(head.join('|')) ?? { head, cells: new Map() }
    rows.set(head.join('|'), row)
    row.cells.set(phase, ok && row.cells.get(phase) !== 'FAIL' ? 'ok' : 'FAIL')
  }
  const table = [
    ['client', 'addressing', 'registry', ...PHASES],
    ...[...rows.values()].map(({ head, cells }) => [
      ...head,
      ...PHASES.map((phase) => cells.get(phase) ?? '-'),
    ]),
  ]
  return align(table)
}

type Cells = Map<Phase, 'ok' | 'FAIL'>

function align(table: readonly (readonly string[])[]): string {
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0)),
  )
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}
