/** The value in the middle, or the mean of the two there. Throws for none. */
export function median(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const sorted = values.toSorted((a, b) => a - b)
  return (valueAt(sorted, Math.floor(middle)) + valueAt(sorted, Math.ceil(middle))) / 2
}

/** The smallest value that `part` (0 to 1) of all do not exceed. Throws for none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return valueAt(sorted, Math.max(Math.ceil(part * sorted.length) - 1, 0))
}

function valueAt(values: readonly number[], index: number): number {
  const value = values[index]
  if (value === undefined) throw new Error('there is nothing to count')
  return value
}
