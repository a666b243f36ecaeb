import { createHash } from 'node:crypto'
import type { Digest } from '../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../oci/digest.ts'
import type { OpenBlob } from './ports.ts'

/**
 * Reads a stored blob again, to the pace of `onChunk`, and closes it: whether its bytes are still those of its
 * digest. Rejects as `pump` does.
 */
export async function matchesStored(
  blob: OpenBlob,
  { digest, size }: { readonly digest: Digest; readonly size: number },
  onChunk: (chunk: Uint8Array) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const hash = createHash(digestAlgorithm(digest))
  const take = async (chunk: Uint8Array) => {
    hash.update(chunk)
    await onChunk(chunk)
  }
  try {
    await blob.pump({ start: 0, end: size }, take, signal)
    return hash.digest('hex') === digestHex(digest)
  } finally {
    await blob.close()
  }
}
