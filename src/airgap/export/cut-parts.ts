import type { BundleBlob } from '../bundle/bundle-header.ts'
import { MAX_BUNDLE_PARTS } from '../bundle/bundle-header.ts'
import { blobEntry, pieceEntry } from '../bundle/entry-name.ts'
import { TAR_BLOCK } from '../bundle/tar-header.ts'
import { formatTarHead, tarEntryBytes } from '../bundle/write-tar.ts'

/** A blob or a piece of one, where it goes. */
export interface PlacedEntry {
  readonly name: string
  readonly blob: BundleBlob
  /** From 1. */
  readonly part: number
  /** Of the blob, in bytes: where the entry begins, and how many it has. */
  readonly start: number
  readonly size: number
}

/** A piece is not worth its place in what is left of a part if it is smaller than this. */
const LEAST_PIECE = 64 * 1024

/**
 * Fills parts in the order of the blobs, cutting at their edges; only what is larger than a part is cut itself.
 * `room` is what a part has for entries, in bytes, at least 1 MiB. `undefined`: it takes too many parts.
 */
export function cutParts(
  blobs: readonly BundleBlob[],
  room: number,
): readonly PlacedEntry[] | undefined {
  const placed: PlacedEntry[] = []
  let part = 1
  let left = room
  const next = () => {
    part += 1
    left = room
  }
  const place = (entry: Omit<PlacedEntry, 'part'>) => {
    placed.push({ ...entry, part })
    left -= tarEntryBytes(entry.name, entry.size)
  }
  for (const blob of blobs) {
    const { digest, size } = blob
    const name = blobEntry(digest)
    const bytes = tarEntryBytes(name, size)
    if (bytes <= room) {
      if (bytes > left) next()
      place({ name, blob, start: 0, size })
      continue
    }
    for (let start = 0, piece = 1; start < size; piece += 1) {
      const name = pieceEntry(digest, piece)
      if (largestBody(name, left) < Math.min(LEAST_PIECE, size - start)) next()
      const length = Math.min(size - start, largestBody(name, left))
      place({ name, blob, start, size: length })
      start += length
      if (part > MAX_BUNDLE_PARTS) return undefined
    }
    if (part > MAX_BUNDLE_PARTS) return undefined
  }
  return part > MAX_BUNDLE_PARTS ? undefined : placed
}

/** Bytes of the largest file that fits: a whole number of blocks, so that no padding follows. */
function largestBody(name: string, room: number): number {
  const rest = room - formatTarHead(name, room).length
  return Math.max(0, Math.floor(rest / TAR_BLOCK) * TAR_BLOCK)
}
