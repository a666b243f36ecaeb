/**
 * A look into a configuration that may be wrong anywhere: what is not of the expected type reads as
 * absent. It lets the checks between keys run although the schema has already found faults.
 */
export function tableAt(input: unknown, key: string): Readonly<Record<string, unknown>> {
  const value = isTable(input) ? input[key] : undefined
  return isTable(value) ? value : {}
}

export function valueAt(input: unknown, key: string): unknown {
  return isTable(input) ? input[key] : undefined
}

/** The texts of a list, each with its position in the list. */
export function textsAt(input: unknown, key: string): readonly (readonly [number, string])[] {
  const value = valueAt(input, key)
  if (!Array.isArray(value)) return []
  return value.flatMap((item: unknown, index) =>
    typeof item === 'string' ? [[index, item] as const] : [],
  )
}

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
