import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import type { DiskState } from '../disk-health.ts'

/** What maintenance may ask of the mirror that goes on serving meanwhile. */
export interface MirrorControl {
  /**
   * Tombstone, file, row. Whoever reads the blob finishes undisturbed. `false`: it stays, because a pin or a
   * hold needs it (`pinned`) or anything names it (`named`), or it is not here.
   */
  evict(digest: Digest, unless?: 'pinned' | 'named'): Promise<boolean>
  /**
   * The same for a damaged one, whose bytes are kept aside. `isWanted` is asked when nothing can land or be
   * evicted any more.
   */
  quarantine(digest: Digest, isWanted?: () => Promise<boolean>): Promise<void>
  /** Runs the task while the blob can neither land nor be evicted. */
  alone<T>(digest: Digest, task: () => Promise<T>): Promise<T>
  /** Downloads it from the repository's upstream, whatever is here. `false`: upstream has no such thing. */
  refetch(kind: 'manifest' | 'blob', repository: Repository, digest: Digest): Promise<boolean>
  /**
   * Stores what was brought here by hand, within the limits, and as nobody's. A chunk's memory may be reused after
   * the next one is asked for. Throws DigestMismatch, NoSpace and what the body throws; then nothing is stored.
   */
  take(
    blob: { readonly digest: Digest; readonly size: number },
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>
  /** What is remembered of the tag, besides its row. */
  forgetTag(repository: Repository, tag: Tag): void
  forgetManifest(repository: Repository, digest: Digest): void
  /** Downloads under way. */
  flights(): number
  /** Whether downloads can be stored. */
  disk(): DiskState
}
