import Database from 'better-sqlite3'
import { LRUCache } from 'lru-cache'
import type { ReferrerList } from '../core/lists.ts'
import type { Catalog, Holding, RecordedManifest, TagCheck, TagRecord } from '../core/ports.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import { configure, migrate } from './catalog-schema.ts'
import type { Statements } from './catalog-statements.ts'
import { prepareStatements } from './catalog-statements.ts'
import { ReferrerLists } from './referrer-lists.ts'

/** Last-used times are written this often: one transaction for many requests. */
const TOUCH_EVERY_MS = 5_000
/** Rows read at a time while evicting, so that nothing holds a cursor open across deletions. */
const EVICTION_PAGE = 64
const REPOSITORIES_REMEMBERED = 10_000
/** More than anyone attaches; with the limit on annotations, a bound on what an answer holds. */
const MAX_HELD_REFERRERS = 256
const MAX_TOUCHED = 100_000

/**
 * The catalog in one SQLite file, used by one process. Its methods are asynchronous for the sake of
 * other implementations; here each is a handful of prepared statements of some microseconds.
 */
export class SqliteCatalog implements Catalog {
  readonly #database: Database.Database
  readonly #sql: Statements
  readonly #referrerLists: ReferrerLists
  readonly #repositories = new LRUCache<string, number>({ max: REPOSITORIES_REMEMBERED })
  readonly #touched = new Map<Digest, number>()
  readonly #timer: NodeJS.Timeout
  #bytes: number
  #blobs: number

  private constructor(database: Database.Database) {
    this.#database = database
    this.#sql = prepareStatements(database)
    this.#referrerLists = new ReferrerLists(database)
    const { bytes, blobs } = this.#sql.totals.get() ?? { bytes: 0, blobs: 0 }
    this.#bytes = bytes
    this.#blobs = blobs
    this.#timer = setInterval(() => this.#flushTouches(), TOUCH_EVERY_MS).unref()
  }

  /** Throws StartError for a file of another version. */
  static async open(path: string): Promise<SqliteCatalog> {
    const database = new Database(path)
    try {
      configure(database)
      migrate(database, path)
      return new SqliteCatalog(database)
    } catch (reason) {
      database.close()
      throw reason
    }
  }

  async resolve(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    const id = this.#find(repository)
    const row = id === undefined ? undefined : this.#sql.resolve.get(id, tag)
    if (row === undefined) return undefined
    const { digest, media_type: mediaType, size, checked_at: checkedAt } = row
    return { tag, manifest: { digest, mediaType, size }, checkedAt }
  }

  async record(
    repository: Repository,
    manifest: RecordedManifest,
    children: readonly Descriptor[],
    tag?: TagCheck,
  ): Promise<void> {
    const { putManifest, putReferrer, putChild, putTag } = this.#sql
    const { subject, artifactType = null, annotations } = manifest
    this.#database.transaction(() => {
      const id = this.#idOf(repository)
      putManifest.run(id, manifest.digest, manifest.mediaType, manifest.size)
      if (subject !== undefined) {
        const text = annotations === undefined ? null : JSON.stringify(annotations)
        putReferrer.run(id, subject, manifest.digest, artifactType, text)
      }
      for (const child of children) putChild.run(id, child.digest, manifest.digest, child.size)
      if (tag !== undefined) putTag.run(id, tag.tag, manifest.digest, tag.checkedAt)
    })()
  }

  async confirm(repository: Repository, check: TagCheck, digest: Digest): Promise<void> {
    this.#sql.confirm.run(
      check.checkedAt,
      this.#idOf(repository),
      check.tag,
      digest,
      check.checkedAt,
    )
  }

  async dropTag(repository: Repository, tag: Tag): Promise<void> {
    const id = this.#find(repository)
    if (id !== undefined) this.#sql.dropTag.run(id, tag)
  }

  async manifest(repository: Repository, digest: Digest): Promise<Descriptor | undefined> {
    const id = this.#find(repository)
    const row = id === undefined ? undefined : this.#sql.manifest.get(id, digest)
    return row && { digest, mediaType: row.media_type, size: row.size }
  }

  async landed(repository: Repository, digest: Digest, size: number, at: number): Promise<void> {
    const { size: storedSize, putBlob, putLink } = this.#sql
    const earlier = storedSize.get(digest)
    this.#database.transaction(() => {
      putBlob.run(digest, size, at)
      putLink.run(digest, this.#idOf(repository), 1)
    })()
    this.#bytes += size - (earlier?.size ?? 0)
    this.#blobs += earlier === undefined ? 1 : 0
  }

  async link(repository: Repository, digest: Digest): Promise<void> {
    this.#sql.putLink.run(digest, this.#idOf(repository), 0)
  }

  async holding(repository: Repository, digest: Digest): Promise<Holding> {
    // No repository has the number 0: then only the stored size can be found.
    const id = this.#find(repository) ?? 0
    const row = this.#sql.holding.get({ id, digest, upstream: repository.upstream })
    const isNamedHere = typeof row?.stated_size === 'number' && row.came_from_upstream === 1
    const standing = row?.is_linked === 1 ? 'proved' : isNamedHere ? 'named' : undefined
    return {
      standing,
      storedSize: row?.stored_size ?? undefined,
      statedSize: row?.stated_size ?? undefined,
    }
  }

  touch(digest: Digest, at: number): void {
    this.#touched.set(digest, at)
  }

  async *evictionOrder(): AsyncIterable<{ readonly digest: Digest; readonly size: number }> {
    this.#flushTouches()
    for (;;) {
      // Whoever evicts drops each row before asking for the next, so the first page is always new.
      const page = this.#sql.leastUsed.all(EVICTION_PAGE)
      if (page.length === 0) return
      yield* page
      const [first] = page
      if (first !== undefined && this.#sql.size.get(first.digest) !== undefined) return
    }
  }

  async entomb(digest: Digest): Promise<void> {
    this.#sql.entomb.run(digest)
  }

  async forget(digest: Digest): Promise<void> {
    const row = this.#sql.size.get(digest)
    if (row === undefined) return
    this.#sql.forget.run(digest)
    this.#bytes -= row.size
    this.#blobs -= 1
    this.#touched.delete(digest)
  }

  async tombstones(): Promise<readonly Digest[]> {
    return this.#sql.tombstones.all().map(({ digest }) => digest)
  }

  async totals(): Promise<{ readonly bytes: number; readonly blobs: number }> {
    return { bytes: this.#bytes, blobs: this.#blobs }
  }

  async heldReferrers(repository: Repository, subject: Digest): Promise<readonly Referrer[]> {
    const id = this.#find(repository)
    if (id === undefined) return []
    return this.#sql.heldReferrers.all(id, subject, MAX_HELD_REFERRERS).map((row) => ({
      digest: row.digest,
      mediaType: row.media_type,
      size: row.size,
      ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
      ...(row.annotations !== null && {
        annotations: JSON.parse(row.annotations) as Readonly<Record<string, string>>,
      }),
    }))
  }

  async referrerList(repository: Repository, subject: Digest): Promise<ReferrerList | undefined> {
    return this.#referrerLists.get(repository, subject)
  }

  async keepReferrerList(
    repository: Repository,
    subject: Digest,
    list: ReferrerList,
  ): Promise<void> {
    this.#referrerLists.put(repository, subject, list)
  }

  async hasListFromApi(repository: Repository): Promise<boolean> {
    return this.#referrerLists.hasFromApi(repository)
  }

  async repositories(after: string, limit: number): Promise<readonly Repository[]> {
    return this.#sql.repositories.all(after, limit)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#flushTouches()
    this.#database.pragma('wal_checkpoint(TRUNCATE)')
    this.#database.close()
  }

  #flushTouches(): void {
    if (this.#touched.size === 0) return
    try {
      this.#database.transaction(() => {
        for (const [digest, at] of this.#touched) this.#sql.touch.run(at, digest, at)
      })()
      this.#touched.clear()
    } catch {
      // A locked or full database: the times are kept for the next turn, and bounded, because losing
      // some only makes eviction a little less exact.
      if (this.#touched.size > MAX_TOUCHED) this.#touched.clear()
    }
  }

  /** Asking never adds a repository: names that do not exist cost clients nothing to invent. */
  #find({ upstream, name }: Repository): number | undefined {
    const key = `${upstream}/${name}`
    const known = this.#repositories.get(key)
    if (known !== undefined) return known
    const id = this.#sql.repository.get(upstream, name)?.id
    if (id !== undefined) this.#repositories.set(key, id)
    return id
  }

  #idOf(repository: Repository): number {
    const found = this.#find(repository)
    if (found !== undefined) return found
    const { upstream, name } = repository
    this.#sql.putRepository.run(upstream, name)
    const id = this.#find(repository)
    if (id === undefined)
      throw new Error(`the catalog did not take the repository ${upstream}/${name}`)
    return id
  }
}
