import Database from 'better-sqlite3'
import type { ReferrerList } from '../core/lists.ts'
import type { Inventory } from '../core/maintenance/inventory.ts'
import type {
  Catalog,
  Evictable,
  Holding,
  RecordedManifest,
  TagCheck,
  TagRecord,
} from '../core/ports.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository, Tag } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import { configure, migrate } from './catalog-schema.ts'
import type { Statements } from './catalog-statements.ts'
import { prepareStatements, toHolding } from './catalog-statements.ts'
import { DurabilityMarks } from './durability-marks.ts'
import { evictionOrder } from './eviction-order.ts'
import { refusing } from './fs.ts'
import { HeldContent } from './held-content.ts'
import { ManifestNames } from './manifest-names.ts'
import { ReferrerLists } from './referrer-lists.ts'
import { RepositoryIds } from './repository-ids.ts'
import { SqliteInventory } from './sqlite-inventory.ts'
import { UseTimes } from './use-times.ts'

/** Pages of 4 KiB at a time: some milliseconds. */
const BACKUP_PAGES = 1_000

/**
 * The catalog in one SQLite file, used by one process. Its methods are asynchronous for the sake of
 * other implementations; here each is a handful of prepared statements of some microseconds.
 */
export class SqliteCatalog implements Catalog {
  readonly #database: Database.Database
  readonly #sql: Statements
  readonly #referrerLists: ReferrerLists
  readonly #held: HeldContent
  readonly durability: DurabilityMarks
  readonly #repositories: RepositoryIds
  readonly #names: ManifestNames
  readonly #times: UseTimes
  #bytes: number
  #blobs: number

  private constructor(database: Database.Database) {
    this.#database = database
    this.#sql = prepareStatements(database)
    this.#repositories = new RepositoryIds(database)
    this.#names = new ManifestNames(database)
    this.#referrerLists = new ReferrerLists(database)
    this.#held = new HeldContent(database, this.#repositories)
    this.durability = new DurabilityMarks(database)
    const { bytes, blobs } = this.#sql.totals.get() ?? { bytes: 0, blobs: 0 }
    this.#bytes = bytes
    this.#blobs = blobs
    this.#times = new UseTimes(database)
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

  /** For one command: pages are read from the system's own cache again, which costs microseconds. */
  spareMemory(): void {
    this.#database.pragma('cache_size = -1024')
  }

  async resolve(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    const id = this.#repositories.find(repository)
    const row = id === undefined ? undefined : this.#sql.resolve.get(id, tag)
    if (row === undefined) return undefined
    const { digest, media_type: mediaType, size, checked_at: checkedAt } = row
    const manifest = { digest, mediaType, size }
    return { tag, manifest, checkedAt, ...(row.is_held === 1 && { isHeld: true }) }
  }

  /** Nothing is kept in memory here. */
  recall(): undefined {}

  async record(
    repository: Repository,
    manifest: RecordedManifest,
    children: readonly Descriptor[],
    tag?: TagCheck,
  ): Promise<void> {
    const { putManifest, putTag, noteTag } = this.#sql
    this.#write(() => {
      const id = this.#repositories.idOf(repository)
      putManifest.run(id, manifest.digest, manifest.mediaType, manifest.size)
      this.#names.put(id, manifest, children)
      if (tag === undefined) return
      putTag.run(id, tag.tag, manifest.digest, tag.checkedAt)
      noteTag.run({ id, tag: tag.tag })
    })
  }

  async confirm(repository: Repository, check: TagCheck, digest: Digest): Promise<void> {
    this.#write(() => {
      const id = this.#repositories.idOf(repository)
      this.#sql.confirm.run({ at: check.checkedAt, id, tag: check.tag, digest })
    })
  }

  async dropTag(repository: Repository, tag: Tag, at: number): Promise<boolean> {
    const id = this.#repositories.find(repository)
    if (id === undefined) return true
    const { dropTag, noteDrop, hasTag } = this.#sql
    this.#write(() => {
      if (dropTag.run({ id, tag }).changes > 0) noteDrop.run(id, tag, at)
    })
    return hasTag.get({ id, tag }) === undefined
  }

  async keepsTag(repository: Repository, tag: Tag): Promise<boolean> {
    const id = this.#repositories.find(repository)
    return id !== undefined && this.#sql.keepsTag.get({ id, tag }) !== undefined
  }

  async manifest(repository: Repository, digest: Digest): Promise<Descriptor | undefined> {
    const id = this.#repositories.find(repository)
    const row = id === undefined ? undefined : this.#sql.manifest.get(id, digest)
    return row && { digest, mediaType: row.media_type, size: row.size }
  }

  async landed(
    repository: Repository | undefined,
    digest: Digest,
    size: number,
    at: number,
  ): Promise<void> {
    const { size: storedSize, putBlob, bringBlob, putLink } = this.#sql
    const earlier = storedSize.get(digest)
    this.#write(() => {
      if (repository === undefined) return void bringBlob.run({ digest, size, at })
      putBlob.run({ digest, size, at })
      putLink.run(digest, this.#repositories.idOf(repository), 1)
    })
    this.durability.landed(digest)
    this.#bytes += size - (earlier?.size ?? 0)
    this.#blobs += earlier === undefined ? 1 : 0
  }

  /** Bytes that were found in the store, and are right: they belong to nobody until upstream proves it. */
  async adopt(digest: Digest, size: number, at: number): Promise<void> {
    if (this.#sql.adoptBlob.run({ digest, size, at }).changes === 0) return
    this.#bytes += size
    this.#blobs += 1
  }

  async link(repository: Repository, digest: Digest): Promise<void> {
    this.#write(() => {
      this.#sql.putLink.run(digest, this.#repositories.idOf(repository), 0)
      this.#sql.claimBlob.run(digest)
    })
  }

  async holding(repository: Repository, digest: Digest): Promise<Holding> {
    const id = this.#repositories.findOrNone(repository)
    return toHolding(this.#sql.holding.get({ id, digest, upstream: repository.upstream }))
  }

  touch(digest: Digest, at: number): void {
    this.#times.touch(digest, at)
  }

  served(repository: Repository, reference: Reference, at: number): void {
    this.#times.serve(repository, reference, at)
  }

  evictionOrder(): AsyncIterable<Evictable> {
    this.#times.write()
    return evictionOrder(this.#database, this.#sql)
  }

  async entomb(digest: Digest, unless?: 'pinned' | 'named'): Promise<boolean> {
    const { entomb, entombUnlessPinned, entombUnlessNamed } = this.#sql
    if (unless === undefined) {
      refusing(() => entomb.run({ digest }))
      return true
    }
    const guarded = unless === 'pinned' ? entombUnlessPinned : entombUnlessNamed
    return refusing(() => guarded.run({ digest })).changes > 0
  }

  async revive(digest: Digest): Promise<void> {
    refusing(() => this.#sql.revive.run(digest))
  }

  async forget(digest: Digest): Promise<void> {
    const row = this.#sql.size.get(digest)
    if (row === undefined) return
    const { forget, forgetChildren, forgetReferrer, forgetManifest } = this.#sql
    this.#write(() => {
      for (const statement of [forgetChildren, forgetReferrer, forgetManifest]) {
        statement.run({ digest })
      }
      forget.run(digest)
    })
    this.#bytes -= row.size
    this.#blobs -= 1
    this.#times.forget(digest)
  }

  async tombstones(): Promise<readonly Digest[]> {
    return this.#sql.tombstones.all().map(({ digest }) => digest)
  }

  async totals(): Promise<{ readonly bytes: number; readonly blobs: number }> {
    return { bytes: this.#bytes, blobs: this.#blobs }
  }

  async heldReferrers(repository: Repository, subject: Digest): Promise<readonly Referrer[]> {
    return this.#held.referrers(repository, subject)
  }

  async heldTags(
    repository: Repository,
    after: string,
    limit: number,
  ): Promise<readonly Tag[] | undefined> {
    return this.#held.tags(repository, after, limit)
  }

  async parents(repository: Repository, digest: Digest): Promise<readonly Digest[]> {
    return this.#held.parents(repository, digest)
  }

  async referrerList(repository: Repository, subject: Digest): Promise<ReferrerList | undefined> {
    return this.#referrerLists.get(repository, subject)
  }

  async keepReferrerList(
    repository: Repository,
    subject: Digest,
    list: ReferrerList,
  ): Promise<void> {
    refusing(() => this.#referrerLists.put(repository, subject, list))
  }

  async hasListFromApi(repository: Repository): Promise<boolean> {
    return this.#referrerLists.hasFromApi(repository)
  }

  async repositories(after: string, limit: number): Promise<readonly Repository[]> {
    return this.#held.repositories(after, limit)
  }

  /** The same rows, for maintenance. `onTag` is told of each tag that it changes. */
  inventory(onTag: (repository: Repository, tag: Tag) => void): Inventory {
    return new SqliteInventory(this.#database, onTag, this.#times)
  }

  /** Rows changed since it was opened, last-used times aside: losing those is harmless. */
  changes(): number {
    return (this.#sql.changes.get()?.changes ?? 0) - this.#times.changes
  }

  /** A copy of the whole at one moment, made in pieces between which requests are answered. */
  async copyTo(path: string): Promise<void> {
    await this.#database.backup(path, { progress: () => BACKUP_PAGES })
  }

  async close(): Promise<void> {
    this.#times.close()
    this.#database.pragma('wal_checkpoint(TRUNCATE)')
    this.#database.close()
  }

  /** One transaction, all of it or nothing. Throws NoSpace where the disk refuses. */
  #write(change: () => void): void {
    refusing(this.#database.transaction(change))
  }
}
