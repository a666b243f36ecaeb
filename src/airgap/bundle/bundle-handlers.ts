import type { Digest } from '../../oci/digest.ts'
import type { BundleHeader } from './bundle-header.ts'

/** A blob of a bundle, or a piece of one. */
export interface BundleEntry {
  /** As it stands in the archive. */
  readonly name: string
  /** Of the blob; of a piece, of the blob that it belongs to. */
  readonly digest: Digest
  /** Bytes of this entry: as the archive says, which is what the header says. */
  readonly size: number
  /** From 1; absent of a whole blob. */
  readonly piece?: number
}

/** What whoever reads a bundle is told, in the order of the archive. What they throw ends the reading. */
export interface BundleHandlers {
  /** Once, before any blob. */
  header(header: BundleHeader): Promise<void>
  /**
   * `body` has `entry.size` bytes, or throws BundleError `truncated`; it is not hashed. What is not read of it
   * is skipped. A chunk's memory is reused after the next one is asked for.
   */
  blob(entry: BundleEntry, body: AsyncIterable<Uint8Array>): Promise<void>
}
