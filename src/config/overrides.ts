import type { Path, Problem } from './problem.ts'
import { isTable } from './raw-input.ts'

/** A value that takes the place of the file's: from a variable or a flag, which `origin` names. */
export interface Override {
  readonly path: readonly [section: string, key: string]
  readonly value: string
  readonly origin: string
}

/** A copy of the input with the overrides in it; the last one for a key wins. */
export function applyOverrides(input: unknown, overrides: readonly Override[]): unknown {
  let result = input
  for (const { path, value } of overrides) {
    const [section, key] = path
    if (!isTable(result)) return input
    const table = result[section] ?? {}
    // A section that is no table stays as it is, and is refused as what it is.
    if (isTable(table)) result = { ...result, [section]: { ...table, [key]: value } }
  }
  return result
}

/** Where a problem's value came from, if it was not the file. */
export function originOf(problem: Problem, overrides: readonly Override[]): string | undefined {
  return overrides.findLast(({ path }) => isSamePath(path, problem.path))?.origin
}

function isSamePath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((key, index) => key === b[index])
}
