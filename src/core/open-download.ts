import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import type { BlobStore, Relief, Spool } from './ports.ts'
import type { Upstream, UpstreamBlob } from './upstream.ts'
import { UpstreamFailure } from './upstream-failure.ts'

interface Wanted {
  readonly repository: Repository
  readonly digest: Digest
  /** Bytes, if a manifest states them. */
  readonly stated: number | undefined
  readonly upstream: Upstream
  readonly store: BlobStore
  readonly relief: Relief
  /** Aborts when a client has come to wait for it. */
  readonly hurry: AbortSignal
}

interface Download {
  readonly source: UpstreamBlob
  /** What was downloaded before the mirror stopped: the source goes on where it ends. */
  readonly left: Spool | undefined
}

/** Asks for what is missing: all of it, or the rest of what an earlier run left. */
export async function openDownload(
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Download | undefined> {
  const { repository, digest, stated, upstream, store, relief, hurry } = wanted
  const left = await store.resumeSpool(repository.upstream, digest, stated, relief)
  if (left !== undefined) {
    try {
      const rest = { start: left.length, size: stated }
      const source = await upstream.resumeBlob(repository.name, digest, rest, signal, hurry)
      if (source !== undefined) return { source, left }
      await left.discard(new Error('upstream has no such blob'))
      return undefined
    } catch (reason) {
      const isUnfit = reason instanceof UpstreamFailure && reason.kind === 'misbehaved'
      await (isUnfit ? left.discard(reason) : left.keep(reason))
      // No such range, or of a blob of another size: what is here may be to blame, and not upstream.
      if (!isUnfit) throw reason
    }
  }
  const source = await upstream.getBlob(repository.name, digest, signal, hurry)
  return source && { source, left: undefined }
}
