import type { BlobStore } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'

/** Whether its file is there, in that size, and is not one that a crash of the machine has damaged: a row never proves that. */
export async function isStored(digest: Digest, size: number, store: BlobStore): Promise<boolean> {
  const blob = await store.open(digest, size)
  await blob?.close()
  return blob !== undefined
}
