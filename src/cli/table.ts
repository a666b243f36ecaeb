/** How a column stands. */
export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Lines of aligned columns, two spaces apart, without spaces at their ends. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const titles = columns.map(({ title }) => title)
  const all = titles.some((title) => title !== '') ? [titles, ...rows] : rows
  const widths = columns.map((_, index) =>
    all.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), 0),
  )
  return all.map((row) =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0
        return columns[index]?.align === 'right' ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
