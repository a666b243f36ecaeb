import type { ExportApi } from '../../core/airgap/export-api.ts'
import { DamagedBlob, DigestMismatch } from '../../core/ports.ts'
import type { ByteRange } from '../../oci/byte-range.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { BundleError } from '../bundle/bundle-error.ts'

/** Exactly the bytes of the range. A chunk's memory is reused. Throws BundleError `damaged`. */
export async function* readHeldBlob(
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  { start, end }: ByteRange,
  exports: Pick<ExportApi, 'read'>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let left = end - start
  try {
    const source = await exports.read(digest, start, signal)
    for await (const chunk of source.body) {
      signal.throwIfAborted()
      yield chunk.subarray(0, left)
      left -= Math.min(left, chunk.length)
      if (left === 0 && end < size) return
    }
  } catch (reason) {
    signal.throwIfAborted()
    const isDamaged = reason instanceof DamagedBlob || reason instanceof DigestMismatch
    throw isDamaged ? damagedHere(digest, reason) : reason
  }
  if (left > 0) throw damagedHere(digest)
}

export function damagedHere(digest: Digest, cause?: unknown): BundleError {
  const hint = 'run `oci-mirror verify --repair`, and export again'
  return new BundleError('damaged', `${digest} is damaged here: ${hint}`, { cause })
}
