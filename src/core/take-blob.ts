import type { Digest } from '../oci/digest.ts'
import type { UpstreamName } from '../oci/reference.ts'
import type { KeyedLock } from './keyed-lock.ts'
import { landFile } from './land-file.ts'
import type { BlobStore, Catalog, Clock } from './ports.ts'
import { DigestMismatch } from './ports.ts'
import type { Quota } from './quota.ts'

/** The spools of what no upstream sends: no registry has this name, because it has an underscore. */
const BY_HAND = '_brought' as UpstreamName

interface Deps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly quota: Quota
  readonly locks: KeyedLock<Digest>
  readonly clock: Clock
}

/**
 * Stores bytes that come from the operator and not from an upstream: verified while they are written, within
 * the limits, and nobody's until a repository is given them. A chunk is done with when the next one is asked
 * for. Throws DigestMismatch, NoSpace and what the body throws; then nothing is stored.
 */
export async function takeBlob(
  { digest, size }: { readonly digest: Digest; readonly size: number },
  body: AsyncIterable<Uint8Array>,
  deps: Deps,
  signal: AbortSignal,
): Promise<void> {
  const reservation = await deps.quota.reserve(size)
  try {
    const spool = await deps.store.createSpool(BY_HAND, digest, size)
    try {
      for await (const chunk of body) {
        signal.throwIfAborted()
        if (spool.length + chunk.length > size) throw otherSize(digest, size)
        await spool.write(chunk)
        reservation.wrote(spool.length)
      }
      if (spool.length < size) throw otherSize(digest, size)
      await landFile(undefined, await finished(spool.finish(), digest), deps)
    } catch (reason) {
      await spool.discard(reason)
      throw reason
    }
  } finally {
    reservation.release()
  }
}

/** The spool's own words are about downloads. */
async function finished<T>(finish: Promise<T>, digest: Digest): Promise<T> {
  try {
    return await finish
  } catch (cause) {
    if (!(cause instanceof DigestMismatch)) throw cause
    throw new DigestMismatch(`the bytes are not those of ${digest}`, { cause })
  }
}

function otherSize(digest: Digest, size: number): DigestMismatch {
  return new DigestMismatch(`there are more or fewer than the ${size} bytes of ${digest}`)
}
