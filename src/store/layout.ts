import { join } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../oci/digest.ts'
import type { UpstreamName } from '../oci/reference.ts'

/**
 * The data directory:
 *
 * ```
 * data/
 *   format                              the number of this layout
 *   lock.db                             held with BEGIN EXCLUSIVE by the one running process
 *   catalog.db                          names, links and sizes (sqlite-catalog.ts draws the tables)
 *   catalog.backup                      the same some minutes ago, for when that is damaged
 *   catalog.suspect                     a copy that was damaged: the next start looks at all of the catalog
 *   blobs/sha256/ab/<hex>               content by digest, read-only; ab = the first two of <hex>
 *   quarantine/sha256:<hex>             damaged blobs that `verify` found; `gc` removes them
 *   spool/<upstream>/sha256:<hex>       downloads under way; never served as stored blobs
 * ```
 *
 * Paths are built from parsed digests and configured upstreams only, so nothing that a client or an
 * upstream wrote can lead outside.
 */
export interface Layout {
  readonly root: string
  readonly format: string
  readonly lock: string
  readonly catalog: string
  readonly backup: string
  readonly suspect: string
  readonly blobs: string
  readonly spool: string
  readonly quarantine: string
}

/** Raised when a newer program could not be read by an older one, or the other way round. */
export const FORMAT = 1

export function layoutOf(root: string): Layout {
  return {
    root,
    format: join(root, 'format'),
    lock: join(root, 'lock.db'),
    catalog: join(root, 'catalog.db'),
    backup: join(root, 'catalog.backup'),
    suspect: join(root, 'catalog.suspect'),
    blobs: join(root, 'blobs'),
    spool: join(root, 'spool'),
    quarantine: join(root, 'quarantine'),
  }
}

export function blobDirectory(layout: Layout, digest: Digest): string {
  return join(layout.blobs, digestAlgorithm(digest), digestHex(digest).slice(0, 2))
}

export function blobPath(layout: Layout, digest: Digest): string {
  return join(blobDirectory(layout, digest), digestHex(digest))
}

export function spoolDirectory(layout: Layout, upstream: UpstreamName): string {
  return join(layout.spool, upstream)
}
