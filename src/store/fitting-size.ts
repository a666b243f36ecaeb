export interface SizeWish {
  /** Bytes of the pool that nobody holds. */
  readonly free: number
  /** More bytes than this would stay unused. */
  readonly useful: number
}

/**
 * The largest of the sizes that takes at most a sixteenth of what is free, and is not wasted; else the smallest.
 * Sizes are in bytes, the largest first.
 */
export function fittingSize(sizes: readonly number[], { free, useful }: SizeWish): number {
  const fits = (size: number) => size <= free / 16 && size / 2 < useful
  return sizes.find(fits) ?? sizes.at(-1) ?? 0
}
