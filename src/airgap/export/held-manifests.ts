import type { ReadManifest } from '../../core/airgap/walk-image.ts'
import { DamagedBlob } from '../../core/ports.ts'
import type { BlobStore } from '../../core/ports.ts'
import { readAll } from '../../core/read-all.ts'
import { matchesDigest } from '../../oci/digest.ts'
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts'

/** Of a manifest that is damaged nothing is known, as of one that is not here. */
export function readHeldManifests(store: Pick<BlobStore, 'open'>): ReadManifest {
  return async ({ digest, size }) => {
    if (size > MAX_MANIFEST_BYTES) return undefined
    const blob = await store.open(digest, size)
    if (blob === undefined) return undefined
    try {
      const bytes = await readAll(blob, size)
      return matchesDigest(bytes, digest) ? bytes : undefined
    } catch (reason) {
      if (reason instanceof DamagedBlob) return undefined
      throw reason
    }
  }
}
