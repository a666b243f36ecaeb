/** What became of a text: its value, or what should have stood there (`a duration such as "5m"`). */
export type Reading<T> = { readonly value: T } | { readonly expected: string }

export function read<T>(value: T): Reading<T> {
  return { value }
}

export function expected(what: string): { readonly expected: string } {
  return { expected: what }
}
