import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import { NOBODY } from '../oci/reference.ts'
import type { KeyedLock } from './keyed-lock.ts'
import type { BlobStore, Catalog, Clock, VerifiedFile } from './ports.ts'

interface Deps {
  readonly store: BlobStore
  readonly catalog: Catalog
  /** Shared with eviction: a digest never lands while it is evicted. */
  readonly locks: KeyedLock<Digest>
  readonly clock: Clock
}

/**
 * Moves a checked file to its place and adds its row: both, or neither. Without a repository, it is nobody's.
 * Throws NoSpace.
 */
export function landFile(
  repository: Repository | undefined,
  file: VerifiedFile,
  { store, catalog, locks, clock }: Deps,
): Promise<void> {
  const { digest, size } = file
  return locks.run(digest, async () => {
    await store.adopt(file)
    try {
      await catalog.landed(repository, digest, size, clock.now())
    } catch (reason) {
      // A file that no row counts would be outside every limit. One that took another's place has a row.
      const { storedSize } = await catalog.holding(repository ?? NOBODY, digest)
      if (storedSize === undefined) await store.delete(digest)
      throw reason
    }
  })
}
