import type { Attachment } from '../oci/attachment.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository, RepositoryName, Tag, UpstreamName } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import type { ListPage, ReferrerList, TagPage } from './lists.ts'

/**
 * The seams of the mirror. Start reading here: `core/` is written against these interfaces only, and
 * each has one conformance suite in `test/conformance/` that every implementation passes.
 */

/** Time, so that tests own it. Milliseconds since the epoch. */
export interface Clock {
  now(): number
  /** Resolves after `ms`, or at once when `signal` aborts. Never rejects, never keeps the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Bytes by digest. Knows no names: see Catalog for those. */
export interface BlobStore {
  stat(digest: Digest): Promise<{ readonly size: number } | undefined>
  /**
   * Opens before it returns, so an eviction that follows cannot break the read. `size` is what the
   * catalog says; a file that is missing or of another size is a miss, and is replaced when refetched.
   */
  open(digest: Digest, size?: number): Promise<OpenBlob | undefined>
  /** A spool on a volume that this store can adopt from without copying. */
  createSpool(upstream: UpstreamName, digest: Digest, size: number | undefined): Promise<Spool>
  /** Takes over a checked file. Adopting a blob that the store already has replaces it. */
  adopt(file: VerifiedFile): Promise<void>
  /** Whether there was one. Readers that have it open finish undisturbed. */
  delete(digest: Digest): Promise<boolean>
  list(): AsyncIterable<{ readonly digest: Digest; readonly size: number }>
  /** Bytes of the volume: what it holds in all, and what is still free to us. */
  space(): Promise<{ readonly total: number; readonly free: number }>
}

/**
 * A stored blob or a running flight, read in the same way, so that disk buffers, a growing file and
 * (one day) S3 chunks are sent by the same code.
 */
export interface OpenBlob {
  /** Bytes; `undefined` while a running flight's upstream has not said. */
  readonly size: number | undefined
  /**
   * Writes the range in order, and waits for each `write`, after which the chunk's memory is reused.
   * Rejects when the source fails, when `write` rejects or when `signal` aborts.
   */
  pump(
    range: ByteRange,
    write: (chunk: Uint8Array) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>
  close(): Promise<void>
}

/** Bytes at the end of a download that no reader of its spool gets before the digest is checked. */
export const WITHHELD_BYTES = 32 * 1024

/** The growing file of one download. Its readers never see the end before the digest is checked. */
export interface Spool {
  /** Takes ownership of the chunk; resolves when the spool is ready for more (back-pressure). */
  write(chunk: Uint8Array): Promise<void>
  /** Everything is written: checks size and digest. Throws DigestMismatch for wrong bytes. */
  finish(): Promise<VerifiedFile>
  /** Removes the file; readers fail with `reason`. Harmless after `finish` and adoption. */
  discard(reason: unknown): Promise<void>
  /**
   * A follower, from any position, at its own pace. It stays usable after the blob has landed.
   * `undefined` when the download has ended and its last reader has left: then it is in the store.
   */
  open(): OpenBlob | undefined
}

declare const verified: unique symbol

/** Proof that bytes match their digest. Only `Spool.finish()` makes one, so nothing else can be stored. */
export interface VerifiedFile {
  readonly digest: Digest
  readonly size: number
  readonly [verified]: true
}

/** The bytes that arrived are not those that the digest names. */
export class DigestMismatch extends Error {
  override readonly name = 'DigestMismatch'
}

/** The store has no room, and evicting cannot make enough, or its disk refuses writes. */
export class NoSpace extends Error {
  override readonly name = 'NoSpace'
}

/** Names to digests: tags, media types, and which repository may serve which digest. */
export interface Catalog {
  resolve(repository: Repository, tag: Tag): Promise<TagRecord | undefined>
  /**
   * One transaction: the manifest, its children and, if given, the tag that now points at it appear
   * together or not at all. The tag does not move if its row was checked later than `checkedAt`.
   */
  record(
    repository: Repository,
    manifest: RecordedManifest,
    children: readonly Descriptor[],
    tag?: TagCheck,
  ): Promise<void>
  /** Upstream confirmed that the tag still points at `digest`; anything else leaves the row as it is. */
  confirm(repository: Repository, check: TagCheck, digest: Digest): Promise<void>
  dropTag(repository: Repository, tag: Tag): Promise<void>
  /** The manifest as this repository published it: the media type belongs to the pair, not to the bytes. */
  manifest(repository: Repository, digest: Digest): Promise<Descriptor | undefined>
  /** The bytes were downloaded from this repository and are stored: adds the blob, used at `at` (ms), and the link. */
  landed(repository: Repository, digest: Digest, size: number, at: number): Promise<void>
  /** Upstream has just proved that this repository has the digest. */
  link(repository: Repository, digest: Digest): Promise<void>
  /** All that a request for a blob needs to know, in one look-up, because every blob request needs it. */
  holding(repository: Repository, digest: Digest): Promise<Holding>
  /** Used at `at` (ms). Kept in memory and written in batches: losing a few seconds of it is harmless. */
  touch(digest: Digest, at: number): void
  /** Least recently used first. */
  evictionOrder(): AsyncIterable<{ readonly digest: Digest; readonly size: number }>
  /** Marks the blob as being evicted, before its file goes: a crash in between is finished at the next start. */
  entomb(digest: Digest): Promise<void>
  /** Drops the blob's row, after its file has gone. Links stay: they say who may, not what is here. */
  forget(digest: Digest): Promise<void>
  /** Blobs that were entombed and not forgotten. */
  tombstones(): Promise<readonly Digest[]>
  /** Bytes and number of the stored blobs. */
  totals(): Promise<{ readonly bytes: number; readonly blobs: number }>
  /** Stored manifests of this repository whose subject is the digest: at most a few hundred. */
  heldReferrers(repository: Repository, subject: Digest): Promise<readonly Referrer[]>
  /** The list that upstream gave last, if it is not so old that newer ones have taken its room. */
  referrerList(repository: Repository, subject: Digest): Promise<ReferrerList | undefined>
  /** Takes the place of an older list, never of a newer one. */
  keepReferrerList(repository: Repository, subject: Digest, list: ReferrerList): Promise<void>
  /** Whether a list of this repository, whatever its subject, is kept that the referrers API gave. */
  hasListFromApi(repository: Repository): Promise<boolean>
  /**
   * Repositories of which a manifest is stored, by their full names (`docker.io/library/alpine`) in the
   * order of ASCII, beginning after `after`, which need not exist.
   */
  repositories(after: string, limit: number): Promise<readonly Repository[]>
}

/** A manifest, and what it is attached to if it is. */
export interface RecordedManifest extends Descriptor, Attachment {}

export interface Holding {
  /**
   * What entitles this repository to the digest: `'proved'` (downloaded or proved there), or `'named'` (a
   * manifest that we hold of it names the digest, and the bytes came from the same upstream).
   */
  readonly standing: 'proved' | 'named' | undefined
  /** Bytes of the stored blob, wherever it came from; `undefined` if the catalog knows of none. */
  readonly storedSize: number | undefined
  /** Bytes, as stated by a manifest that we hold of this repository. */
  readonly statedSize: number | undefined
}

export interface TagRecord {
  readonly tag: Tag
  readonly manifest: Descriptor
  /** When upstream last said so, ms since the epoch. */
  readonly checkedAt: number
}

export interface TagCheck {
  readonly tag: Tag
  readonly checkedAt: number
}

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
   * broken connections, and throws UpstreamFailure when that does not help; it is not verified.
   */
  getBlob(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
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

export interface UpstreamBlob {
  readonly size: number | undefined
  readonly body: AsyncIterable<Uint8Array>
}

export interface BlobProof {
  readonly size: number | undefined
}

/**
 * Why an upstream gave no answer:
 * - `denied`: it refuses us (401, 403), also after a fresh token;
 * - `rate-limited`: 429;
 * - `unavailable`: no connection, 5xx, or broken in the middle;
 * - `timeout`: connected but silent;
 * - `misbehaved`: an answer that no registry gives (HTML, a wrong digest, a redirect loop, a forbidden address);
 * - `busy`: our own queue for this upstream is full, or is not to be waited in.
 */
export type FailureKind =
  'denied' | 'rate-limited' | 'unavailable' | 'timeout' | 'misbehaved' | 'busy'

export class UpstreamFailure extends Error {
  override readonly name = 'UpstreamFailure'
  readonly kind: FailureKind
  /** Seconds that upstream asks us to wait, capped at an hour. */
  readonly retryAfter: number | undefined

  /** `message` names what was tried and what happened, without any secret or query string. */
  constructor(
    kind: FailureKind,
    message: string,
    options: { cause?: unknown; retryAfter?: number } = {},
  ) {
    super(message, { cause: options.cause })
    this.kind = kind
    this.retryAfter = options.retryAfter
  }
}

/** Asked before any look-up in the cache and before joining a flight. */
export interface AccessPolicy {
  decide(caller: Caller, repository: Repository): Verdict
}

export type Caller =
  { readonly kind: 'anonymous' } | { readonly kind: 'user'; readonly name: string }

type Verdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: 'DENIED'; readonly rule: string }
