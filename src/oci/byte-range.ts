/** Bytes from `start` up to, not including, `end`. `end` is Infinity for "to the end, wherever that is". */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export const WHOLE: ByteRange = { start: 0, end: Infinity }

/**
 * As a client asks for it, before anyone knows how long the whole is (RFC 9110 §14.1.2). `last` is
 * included; without it the range is open-ended.
 */
export type RangeSpec =
  | { readonly first: number; readonly last: number | undefined }
  /** The last so many bytes. */
  | { readonly suffix: number }

/** What it means for a body of `size` bytes; `undefined` if it lies beyond the end, or has no byte. */
export function resolveRange(spec: RangeSpec, size: number): ByteRange | undefined {
  if ('suffix' in spec) {
    const length = Math.min(spec.suffix, size)
    return length === 0 ? undefined : { start: size - length, end: size }
  }
  const { first, last } = spec
  // distribution-spec's conformance suite wants 416 for a range that ends before it begins.
  if (first >= size || (last !== undefined && last < first)) return undefined
  return { start: first, end: last === undefined ? size : Math.min(last + 1, size) }
}
