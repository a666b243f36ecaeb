/** What the operator allows. Bytes; `minFree` also as a part (0–1) of the volume, and then of its inodes too. */
export interface QuotaLimits {
  readonly maxSize: number | undefined
  readonly minFree: { readonly bytes: number } | { readonly ratio: number }
}

/** A volume: bytes in all, and still free to us. */
export interface Space {
  readonly total: number
  readonly free: number
  /** Files that it can hold in all, and how many more; absent where there is no such limit. */
  readonly inodes?: { readonly total: number; readonly free: number }
}

/** What has to be evicted before something may come, and whether because of the volume or of `maxSize`. */
export interface Lack {
  readonly bytes: number
  readonly blobs: number
  readonly kind: 'full' | 'limit'
}

export interface Demand {
  /** Bytes of the stored blobs. */
  readonly stored: number
  /** Bytes promised to downloads, with those that are asked for, and how many of them are on disk by now. */
  readonly promised: number
  readonly written: number
  /** Files that are to come. */
  readonly files: number
}

/** Bytes that the operator wants to stay free. */
export function bytesToKeepFree({ minFree }: QuotaLimits, space: Space): number {
  return 'bytes' in minFree ? minFree.bytes : minFree.ratio * space.total
}

/** Nothing is lacking where both numbers are 0. */
export function lackOf(demand: Demand, limits: QuotaLimits, space: Space): Lack {
  const { stored, promised, written, files } = demand
  const overVolume = bytesToKeepFree(limits, space) + promised - written - space.free
  const overMax = limits.maxSize === undefined ? 0 : stored + promised - limits.maxSize
  const ratio = 'ratio' in limits.minFree ? limits.minFree.ratio : 0
  const inodes = space.inodes
  const overInodes = inodes === undefined ? 0 : ratio * inodes.total + files - inodes.free
  return {
    bytes: Math.max(0, overVolume, overMax),
    blobs: Math.max(0, Math.ceil(overInodes)),
    kind: overVolume > 0 || overInodes > 0 ? 'full' : 'limit',
  }
}
