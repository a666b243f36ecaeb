import type { ByteRange } from '../oci/byte-range.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, RepositoryName } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import type { ListPage, TagPage } from './lists.ts'
import type { UpstreamState } from './upstream-state.ts'

/**
 * One registry that we mirror. Hides token auth, redirects, endpoints and resuming. `undefined` means
 * that the registry itself said "no such thing"; everything else that goes wrong is an UpstreamFailure.
 */
export interface Upstream {
  /**
   * What a reference points at now, by HEAD. A registry whose HEAD tells nothing (no digest, 401, 405)
   * is asked by GET instead, and then the answer carries the body.
   */
  headManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<ManifestHead | undefined>
  /** At most 4 MiB; a digest reference is verified, and the descriptor's digest is always computed. */
  getManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<ManifestBody | undefined>
  /**
   * The whole blob. Resolves when upstream has answered with a status. `body` resumes by Range across
   * broken connections, and throws UpstreamFailure when that does not help; it is not verified. In the
   * background lane, a request that waits for its turn waits with those of clients once `hurry` aborts.
   */
  getBlob(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
    hurry?: AbortSignal,
  ): Promise<UpstreamBlob | undefined>
  /** As `getBlob`, but the body begins at `rest.start`: what lies before is here from an earlier download. */
  resumeBlob(
    repository: RepositoryName,
    digest: Digest,
    rest: BlobRest,
    signal: AbortSignal,
    hurry?: AbortSignal,
  ): Promise<UpstreamBlob | undefined>
  /**
   * One range of the blob: exactly these bytes, or UpstreamFailure, in the middle too. Tried once, and not
   * verified. `size` is that of the whole blob. Never waits for its turn: `busy` if it would have to.
   */
  getBlobRange(
    repository: RepositoryName,
    digest: Digest,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<UpstreamBlob | undefined>
  /** Proves that the repository has the digest, at the cost of at most one byte (`bytes=0-0`). */
  probeBlob(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<BlobProof | undefined>
  /** One page. `undefined`: the registry has no such repository. */
  listTags(
    repository: RepositoryName,
    page: ListPage,
    signal: AbortSignal,
  ): Promise<TagPage | undefined>
  /**
   * The whole list, or none: a part of it would look like missing signatures. `undefined`: the registry
   * does not know the repository or the digest; `'unsupported'`: it has no such list at all.
   */
  listReferrers(
    repository: RepositoryName,
    subject: Digest,
    signal: AbortSignal,
  ): Promise<readonly Referrer[] | 'unsupported' | undefined>
  /** How it is doing at this moment, as far as requests have told; asks nobody. */
  state(): UpstreamState
  close(): Promise<void>
}

export interface ManifestHead {
  readonly descriptor: Descriptor
  readonly bytes?: Uint8Array
}

export interface ManifestBody {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

export interface BlobRest {
  /** Position in the blob, at least 1, of the first byte that is wanted. */
  readonly start: number
  /** Bytes of the whole blob, if a manifest states it: some registries refuse a range without an end. */
  readonly size: number | undefined
}

export interface UpstreamBlob {
  /** Bytes of the whole blob. */
  readonly size: number | undefined
  readonly body: BlobBody
}

/**
 * Takes bytes out of memory that is used again once it returns. If it returns a promise, the next ones come
 * when that resolves.
 */
export type TakeBytes = (bytes: Uint8Array) => Promise<void> | undefined

export interface BlobBody {
  /**
   * Gives all bytes to `take`, in order. Rejects if the body breaks (UpstreamFailure), when the signal of its
   * request aborts, and with what `take` throws; never while `take` is at it. To be called once.
   */
  pump(take: TakeBytes): Promise<void>
}

export interface BlobProof {
  readonly size: number | undefined
}
