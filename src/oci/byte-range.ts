/** Bytes from `start` up to, not including, `end`. `end` is Infinity for "to the end, wherever that is". */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export const WHOLE: ByteRange = { start: 0, end: Infinity }
