import { createHash } from 'node:crypto'
import { DigestMismatch } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../../oci/digest.ts'

/** Reads them and keeps nothing. Throws DigestMismatch if they are not those of the blob. */
export async function passBytes(
  { digest, size }: { readonly digest: Digest; readonly size: number },
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const hash = createHash(digestAlgorithm(digest))
  let length = 0
  for await (const chunk of body) {
    signal.throwIfAborted()
    hash.update(chunk)
    length += chunk.length
    if (length > size) break
  }
  if (length === size && hash.digest('hex') === digestHex(digest)) return
  throw new DigestMismatch(`the bytes are not those of ${digest}`)
}
