import { LRUCache } from 'lru-cache'
import type { ReferrerList } from '../core/lists.ts'
import type { Catalog, RecordedManifest, TagCheck, TagRecord } from '../core/ports.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository, Tag } from '../oci/reference.ts'
import { formatTag } from '../oci/reference.ts'

/** Bytes of tag rows kept in memory: some tens of thousands. */
const MEMORY_BYTES = 16 * 1024 * 1024
/** An estimate of what a row costs besides its strings. */
const ROW_OVERHEAD = 300

/**
 * Remembers the tag rows of a catalog, so that a pull by tag that is a hit needs no query. It is the
 * only way in for writers, and forgets what they touch; whether a caller may see a row is decided before.
 */
export class CachedCatalog implements Catalog {
  readonly #inner: Catalog
  readonly #tags: LRUCache<string, TagRecord>

  constructor(inner: Catalog) {
    this.#inner = inner
    this.#tags = new LRUCache({
      maxSize: MEMORY_BYTES,
      sizeCalculation: (_, key) => 2 * key.length + ROW_OVERHEAD,
    })
  }

  async resolve(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    const key = formatTag(repository, tag)
    const known = this.#tags.get(key)
    if (known !== undefined) return known
    const record = await this.#inner.resolve(repository, tag)
    if (record !== undefined) this.#tags.set(key, record)
    return record
  }

  recall(repository: Repository, tag: Tag): TagRecord | undefined {
    return this.#tags.get(formatTag(repository, tag))
  }

  async record(
    repository: Repository,
    manifest: RecordedManifest,
    children: readonly Descriptor[],
    tag?: TagCheck,
  ): Promise<void> {
    await this.#inner.record(repository, manifest, children, tag)
    if (tag !== undefined) this.#tags.delete(formatTag(repository, tag.tag))
  }

  async confirm(repository: Repository, check: TagCheck, digest: Digest): Promise<void> {
    await this.#inner.confirm(repository, check, digest)
    this.#tags.delete(formatTag(repository, check.tag))
  }

  async dropTag(repository: Repository, tag: Tag, at: number): Promise<boolean> {
    const isGone = await this.#inner.dropTag(repository, tag, at)
    this.#tags.delete(formatTag(repository, tag))
    return isGone
  }

  keepsTag(repository: Repository, tag: Tag) {
    return this.#inner.keepsTag(repository, tag)
  }

  /** Its row has been changed by maintenance. */
  forgetTag(repository: Repository, tag: Tag): void {
    this.#tags.delete(formatTag(repository, tag))
  }

  manifest(repository: Repository, digest: Digest) {
    return this.#inner.manifest(repository, digest)
  }

  landed(repository: Repository | undefined, digest: Digest, size: number, at: number) {
    return this.#inner.landed(repository, digest, size, at)
  }

  link(repository: Repository, digest: Digest) {
    return this.#inner.link(repository, digest)
  }

  holding(repository: Repository, digest: Digest) {
    return this.#inner.holding(repository, digest)
  }

  touch(digest: Digest, at: number) {
    this.#inner.touch(digest, at)
  }

  served(repository: Repository, reference: Reference, at: number) {
    this.#inner.served(repository, reference, at)
  }

  evictionOrder() {
    return this.#inner.evictionOrder()
  }

  entomb(digest: Digest, unless?: 'pinned' | 'named') {
    return this.#inner.entomb(digest, unless)
  }

  revive(digest: Digest) {
    return this.#inner.revive(digest)
  }

  forget(digest: Digest) {
    return this.#inner.forget(digest)
  }

  tombstones() {
    return this.#inner.tombstones()
  }

  totals() {
    return this.#inner.totals()
  }

  heldReferrers(repository: Repository, subject: Digest) {
    return this.#inner.heldReferrers(repository, subject)
  }

  heldTags(repository: Repository, after: string, limit: number) {
    return this.#inner.heldTags(repository, after, limit)
  }

  parents(repository: Repository, digest: Digest) {
    return this.#inner.parents(repository, digest)
  }

  referrerList(repository: Repository, subject: Digest) {
    return this.#inner.referrerList(repository, subject)
  }

  keepReferrerList(repository: Repository, subject: Digest, list: ReferrerList) {
    return this.#inner.keepReferrerList(repository, subject, list)
  }

  hasListFromApi(repository: Repository) {
    return this.#inner.hasListFromApi(repository)
  }

  repositories(after: string, limit: number) {
    return this.#inner.repositories(after, limit)
  }
}
