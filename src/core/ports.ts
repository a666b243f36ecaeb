import type { Attachment } from '../oci/attachment.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository, Tag, UpstreamName } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import type { ReferrerList } from './lists.ts'
import type { Ring } from './ring.ts'
import type { Space } from './room.ts'

/**
 * The seams of the mirror. Start reading here: `core/` is written against these interfaces only, and
 * each has one conformance suite in `test/conformance/` that every implementation passes. The registry
 * has a file of its own, upstream.ts.
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
  /**
   * A spool on a volume that this store can adopt from without copying. Where the disk refuses, it goes on
   * in the memory that `relief` gives; without relief it throws NoSpace.
   */
  createSpool(
    upstream: UpstreamName,
    digest: Digest,
    size: number | undefined,
    relief?: Relief,
  ): Promise<Spool>
  /** What an earlier download from the same upstream left behind, if that is worth going on with. */
  resumeSpool(
    upstream: UpstreamName,
    digest: Digest,
    size: number | undefined,
    relief?: Relief,
  ): Promise<Spool | undefined>
  /** Bytes of all that downloads left behind, for `resumeSpool`. */
  leftBytes(): Promise<number>
  /** Removes the oldest of that until so many bytes have gone, or all. Returns how many have gone. */
  dropLeft(bytes: number): Promise<number>
  /** Takes over a checked file. Adopting a blob that the store already has replaces it. */
  adopt(file: VerifiedFile): Promise<void>
  /** Whether there was one. Readers that have it open finish undisturbed. */
  delete(digest: Digest): Promise<boolean>
  /** Puts a damaged blob aside, so that it is not served. Whether there was one. */
  quarantine(digest: Digest): Promise<boolean>
  /** What has been put aside. */
  quarantined(): Promise<readonly { readonly digest: Digest; readonly size: number }[]>
  /** Removes one of those; harmless if there is none. */
  discardQuarantined(digest: Digest): Promise<void>
  list(): AsyncIterable<{ readonly digest: Digest; readonly size: number }>
  /** The volume's: what it holds in all, and what is still free to us. */
  space(): Promise<Space>
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

/** A stored blob that its disk does not give back as it was: what a reader has got so far is all there is. */
export class DamagedBlob extends Error {
  override readonly name = 'DamagedBlob'
}

/** Bytes at the end of a download that no reader of its spool gets before the digest is checked. */
export const WITHHELD_BYTES = 32 * 1024

/** The growing file of one download. Its readers never see the end before the digest is checked. */
export interface Spool {
  /** Bytes that have been taken, in an earlier run too: where in the blob the next chunk belongs. */
  readonly length: number
  /**
   * Copies the chunk before it returns. A promise, if there is one, resolves when the spool is ready for more
   * (back-pressure), and rejects if it cannot go on.
   */
  write(chunk: Uint8Array): Promise<void> | undefined
  /**
   * Everything is written: checks size and digest. Throws DigestMismatch for wrong bytes, and NotKept for
   * the right ones if some of them were in memory only; those who follow get them all the same.
   */
  finish(): Promise<VerifiedFile>
  /** Removes the file; readers fail with `reason`. Harmless after `finish` and adoption. */
  discard(reason: unknown): Promise<void>
  /** As `discard`, but the file stays, for `resumeSpool`. */
  keep(reason: unknown): Promise<void>
  /**
   * A follower, from any position, at its own pace. It stays usable after the blob has landed.
   * `undefined` when the download has ended and its last reader has left: then it is in the store.
   */
  open(): OpenBlob | undefined
  /** Some of the bytes are in memory only, and the blob cannot be stored. */
  readonly isUnkept: boolean
  /** Its first bytes are gone: who comes now needs a download of its own. */
  readonly isPast: boolean
  /** How many follow it now; `undefined` before the first one has come. */
  readonly followers: number | undefined
}

/** How a download goes on where the disk does not. */
export interface Relief {
  /** Memory to go on with from now on, because the room is used up. */
  readonly ring: Ring | undefined
  /** The disk has refused. Resolves to memory, or to `undefined`: try once more. Throws NoSpace if neither helps. */
  refused(reason: NoSpace): Promise<Ring | undefined>
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

/**
 * Bytes cannot be stored:
 * - `limit`: what the operator allows is used up by what may not be evicted, or the blob is larger than that;
 * - `full`: the disk has no room, and evicting did not help or was not tried yet;
 * - `broken`: the disk refuses writes for another reason.
 */
export class NoSpace extends Error {
  override readonly name: string = 'NoSpace'
  readonly kind: 'limit' | 'full' | 'broken'

  constructor(message: string, kind: NoSpace['kind'], options?: { cause?: unknown }) {
    super(message, options)
    this.kind = kind
  }
}

/** The bytes were right, and those who asked have them, but there was no room to keep them. */
export class NotKept extends NoSpace {
  override readonly name = 'NotKept'
}

/** Names to digests: tags, media types, and which repository may serve which digest. */
export interface Catalog {
  resolve(repository: Repository, tag: Tag): Promise<TagRecord | undefined>
  /** The same from memory, at once. `undefined` says nothing. */
  recall(repository: Repository, tag: Tag): TagRecord | undefined
  /**
   * One transaction: the manifest, its children and, if given, the tag that now points at it appear
   * together or not at all. The tag does not move if its row was checked later than `checkedAt`, or is
   * held. Each change of a tag's row is appended to its history.
   */
  record(
    repository: Repository,
    manifest: RecordedManifest,
    children: readonly Descriptor[],
    tag?: TagCheck,
  ): Promise<void>
  /** Upstream confirmed that the tag still points at `digest`; anything else leaves the row as it is. */
  confirm(repository: Repository, check: TagCheck, digest: Digest): Promise<void>
  /** Dropped at `at` (ms). `false`: it stays, as `keepsTag` says. */
  dropTag(repository: Repository, tag: Tag, at: number): Promise<boolean>
  /** Whether the tag stays whatever upstream says of it: it is held or imported, or its manifest is pinned. */
  keepsTag(repository: Repository, tag: Tag): Promise<boolean>
  /** The manifest as this repository published it: the media type belongs to the pair, not to the bytes. */
  manifest(repository: Repository, digest: Digest): Promise<Descriptor | undefined>
  /**
   * The bytes were downloaded from this repository and are stored: adds the blob, used at `at` (ms), and the
   * link. Without a repository: they were brought here by hand, and are nobody's yet.
   */
  landed(
    repository: Repository | undefined,
    digest: Digest,
    size: number,
    at: number,
  ): Promise<void>
  /** Upstream has just proved that this repository has the digest. */
  link(repository: Repository, digest: Digest): Promise<void>
  /** All that a request for a blob needs to know, in one look-up, because every blob request needs it. */
  holding(repository: Repository, digest: Digest): Promise<Holding>
  /** Used at `at` (ms). Kept in memory and written in batches: losing a few seconds of it is harmless. */
  touch(digest: Digest, at: number): void
  /** A client was given the manifest by that name at `at` (ms). Kept as `touch` is. */
  served(repository: Repository, reference: Reference, at: number): void
  /**
   * Least recently used first, where using a manifest is using what it names; nothing that a pin or a hold
   * needs. `usedAt`: by that measure, ms since the epoch. Rows may be forgotten while it is read.
   */
  evictionOrder(): AsyncIterable<Evictable>
  /**
   * Marks the blob as being evicted, before its file goes: a crash in between is finished at the next start.
   * `false`: it stays, because a pin or a hold needs it (`pinned`) or anything names it (`named`), or it is
   * not here.
   */
  entomb(digest: Digest, unless?: 'pinned' | 'named'): Promise<boolean>
  /** Takes that back, because its file could not be removed: it is the last one to be evicted now. */
  revive(digest: Digest): Promise<void>
  /**
   * Drops the blob's row, after its file has gone, and of a manifest what it said, except its type where a
   * tag needs that. Links stay: they say who may, not what is here.
   */
  forget(digest: Digest): Promise<void>
  /** Blobs that were entombed and not forgotten. */
  tombstones(): Promise<readonly Digest[]>
  /** Bytes and number of the stored blobs. */
  totals(): Promise<{ readonly bytes: number; readonly blobs: number }>
  /** Stored manifests of this repository whose subject is the digest: at most a few hundred. */
  heldReferrers(repository: Repository, subject: Digest): Promise<readonly Referrer[]>
  /**
   * Tags of this repository whose manifests are stored, in the order of ASCII, beginning after `after`, which
   * need not exist. `undefined`: no manifest of it is stored.
   */
  heldTags(
    repository: Repository,
    after: string,
    limit: number,
  ): Promise<readonly Tag[] | undefined>
  /** Stored manifests of this repository that name the digest: a few of them. */
  parents(repository: Repository, digest: Digest): Promise<readonly Digest[]>
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

/** A blob that may go. */
export interface Evictable {
  readonly digest: Digest
  readonly size: number
  readonly usedAt: number
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
  /** The operator has frozen it at this digest, whatever upstream says. */
  readonly isHeld?: true
}

export interface TagCheck {
  readonly tag: Tag
  readonly checkedAt: number
}
