import type { BlobStore, Catalog } from '../../core/ports.ts'
import type { QuotaLimits } from '../../core/room.ts'
import { bytesToKeepFree } from '../../core/room.ts'
import type { Digest } from '../../oci/digest.ts'

interface Deps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly limits: QuotaLimits
}

/**
 * Bytes that can be stored, with what may be evicted for it; counted no further than `wanted`. `needed` is not
 * evicted. `undefined` where the volume does not tell.
 */
export async function findRoom(
  wanted: number,
  needed: ReadonlySet<Digest>,
  { store, catalog, limits }: Deps,
): Promise<number | undefined> {
  const space = await store.space().catch(() => undefined)
  if (space === undefined) return undefined
  const stored = (await catalog.totals()).bytes
  const onVolume = space.free - bytesToKeepFree(limits, space)
  const withinMax = (limits.maxSize ?? Infinity) - stored
  let room = Math.min(onVolume, withinMax) + (await store.leftBytes())
  if (room >= wanted) return Math.floor(room)
  for await (const { digest, size } of catalog.evictionOrder()) {
    if (!needed.has(digest)) room += size
    if (room >= wanted) break
  }
  return Math.max(0, Math.floor(room))
}
