/** Of a column, and of the widest cell in it. */
interface Column {
  readonly align: Alignment
  readonly width: number
}

type Alignment = 'left' | 'right'

const LEAST_WIDTH = 3

/** A Markdown table, its columns aligned in plain text too; the first row is the head. */
export function renderTable(
  alignments: readonly Alignment[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const columns = alignments.map((align, n) => ({
    align,
    width: Math.max(LEAST_WIDTH, ...rows.map((row) => (row[n] ?? '').length)),
  }))
  const [head = '', ...body] = rows.map((row) =>
    line(columns.map((column, n) => pad(row[n] ?? '', column))),
  )
  return [head, line(columns.map(ruleOf)), ...body]
}

function pad(cell: string, { align, width }: Column): string {
  return align === 'left' ? cell.padEnd(width) : cell.padStart(width)
}

function ruleOf({ align, width }: Column): string {
  return align === 'left' ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
