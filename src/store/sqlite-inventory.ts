import type { Database } from 'better-sqlite3'
import type {
  Closure,
  HeldBlob,
  HeldImage,
  HeldRepository,
  Inventory,
  InventoryCounts,
  Owner,
  Removal,
  ServedImage,
  TagChange,
  VerifyRun,
} from '../core/maintenance/inventory.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import { removeFromCatalog } from './catalog-removal.ts'
import { writeForGood } from './for-good.ts'
import type { BlobRow, ImageRow, InventoryStatements } from './inventory-statements.ts'
import { prepareInventory } from './inventory-statements.ts'
import { ServedImages } from './served-images.ts'
import { RepositoryIds } from './repository-ids.ts'
import { SqliteImports } from './sqlite-imports.ts'
import { pagesOf, Turns } from './turns.ts'
import { UntaggedManifests } from './untagged-manifests.ts'
import type { UseTimes } from './use-times.ts'

/** Rows of one query: some milliseconds. */
const PAGE = 1_000

/** The same file as the catalog, and the same connection, because it has one writer. */
export class SqliteInventory implements Inventory {
  readonly #database: Database
  readonly #sql: InventoryStatements
  readonly #repositories: RepositoryIds
  readonly #onTag: (repository: Repository, tag: Tag) => void
  readonly #turns = new Turns()
  readonly imports: SqliteImports
  readonly #served: ServedImages
  readonly #untagged: UntaggedManifests

  /** `onTag` is told of each tag whose row has been changed here. */
  constructor(
    database: Database,
    onTag: (repository: Repository, tag: Tag) => void,
    times: Pick<UseTimes, 'write'>,
  ) {
    this.#database = database
    this.#sql = prepareInventory(database)
    this.#onTag = onTag
    this.#repositories = new RepositoryIds(database)
    this.imports = new SqliteImports(database, this.#repositories, onTag)
    this.#served = new ServedImages(database, times)
    this.#untagged = new UntaggedManifests(database)
  }

  async images(glob: string, after: string, limit: number): Promise<readonly HeldImage[]> {
    const images: HeldImage[] = []
    for (const row of this.#sql.images.all(after, glob, limit)) {
      images.push(this.#toImage(row))
      await this.#turns.next()
    }
    return images
  }

  async repositories(
    glob: string,
    after: string,
    limit: number,
  ): Promise<readonly HeldRepository[]> {
    const held: HeldRepository[] = []
    for (const row of this.#sql.repositories.all(after, glob, limit)) {
      const { id, upstream, name, ...rest } = row
      const stored = await this.#storedOf(id)
      held.push({ repository: { upstream, name }, ...rest, ...stored })
    }
    return held
  }

  async blobs(after: string, limit: number): Promise<readonly HeldBlob[]> {
    return this.#sql.blobs.all(after, limit).map(toBlob)
  }

  async counts(): Promise<InventoryCounts> {
    const none = { repositories: 0, tags: 0, manifests: 0, pins: 0, holds: 0 }
    return this.#sql.counts.get() ?? none
  }

  async tagsOf(repository: Repository, limit: number): Promise<readonly Tag[]> {
    return this.#sql.tagsOf
      .all(this.#repositories.findOrNone(repository), limit)
      .map(({ tag }) => tag)
  }

  async image(repository: Repository, { digest, size }: Descriptor): Promise<Closure> {
    await this.#turns.next()
    return this.#closure(this.#repositories.findOrNone(repository), digest, size)
  }

  async closure(repository: Repository, digest: Digest): Promise<readonly Digest[]> {
    await this.#turns.next()
    const id = this.#repositories.findOrNone(repository)
    return this.#sql.closure.all({ id, digest, size: 0 }).map((row) => row.digest)
  }

  async blob(digest: Digest): Promise<HeldBlob | undefined> {
    const row = this.#sql.blob.get(digest)
    return row && toBlob(row)
  }

  async owners(digest: Digest): Promise<readonly Owner[]> {
    return this.#sql.owners.all({ digest }).map(({ upstream, name, is_manifest: isManifest }) => ({
      repository: { upstream, name },
      kind: isManifest === 1 ? 'manifest' : 'blob',
    }))
  }

  async history(repository: Repository, tag?: Tag): Promise<readonly TagChange[]> {
    const rows = this.#sql.history.all({
      id: this.#repositories.findOrNone(repository),
      tag: tag ?? null,
    })
    return rows.map(({ tag: name, digest, at }) => ({ tag: name, at, ...(digest && { digest }) }))
  }

  async isPinned(repository: Repository, digest: Digest): Promise<boolean> {
    return this.#sql.isPinned.get(this.#repositories.findOrNone(repository), digest) !== undefined
  }

  async isHeld(repository: Repository, tag: Tag): Promise<boolean> {
    return this.#sql.isHeld.get(this.#repositories.findOrNone(repository), tag) !== undefined
  }

  async pin(repository: Repository, digest: Digest, at: number): Promise<boolean> {
    const id = this.#repositories.findOrNone(repository)
    return writeForGood(this.#database, () => this.#sql.pin.run(id, digest, at).changes > 0)
  }

  async unpin(repository: Repository, digest: Digest): Promise<boolean> {
    const id = this.#repositories.findOrNone(repository)
    return writeForGood(this.#database, () => this.#sql.unpin.run(id, digest).changes > 0)
  }

  async hold(repository: Repository, tag: Tag, manifest: Descriptor, at: number): Promise<void> {
    const { hold, holdTag, tag: find, note } = this.#sql
    const { digest, mediaType, size } = manifest
    const id = this.#repositories.findOrNone(repository)
    writeForGood(this.#database, () => {
      const before = find.get(id, tag)?.digest
      hold.run(id, tag, mediaType, size, at)
      holdTag.run(id, tag, digest, at)
      if (before !== digest) note.run(id, tag, digest, at)
    })
    this.#onTag(repository, tag)
  }

  async release(repository: Repository, tag: Tag): Promise<boolean> {
    const id = this.#repositories.findOrNone(repository)
    const { release } = this.#sql
    const wasHeld = writeForGood(this.#database, () => release.run(id, tag).changes > 0)
    this.#onTag(repository, tag)
    return wasHeld
  }

  async remove(
    repository: Repository,
    target: { readonly tag: Tag } | { readonly digest: Digest },
    at: number,
    dryRun: boolean,
  ): Promise<Removal> {
    const id = this.#repositories.findOrNone(repository)
    let result: Removal | undefined
    try {
      this.#database.transaction(() => {
        result = removeFromCatalog(this.#sql, id, target, at)
        if (dryRun) throw new RolledBack()
      })()
    } catch (reason) {
      // Only that takes back what a plan has done in order to find out.
      if (!(reason instanceof RolledBack)) throw reason
    }
    if (result === undefined) throw new Error('the transaction of a removal did not run')
    if (!dryRun) for (const tag of result.tags) this.#onTag(repository, tag)
    return result
  }

  async unreferenced(before: number): Promise<readonly HeldBlob[]> {
    const found: HeldBlob[] = []
    const pages = pagesOf((after) => this.#sql.unused.all(before, after, PAGE))
    for await (const page of pages) {
      for (const row of page) if (row.is_unused === 1) found.push(toBlob(row))
    }
    return found
  }

  async served(since: number): Promise<readonly ServedImage[]> {
    return this.#served.since(since)
  }

  async untagged(): ReturnType<Inventory['untagged']> {
    return this.#untagged.all()
  }

  async verifyRun(): Promise<VerifyRun | undefined> {
    const row = this.#sql.run.get()
    if (row === undefined) return undefined
    const { after, started_at: startedAt, blobs, bytes } = row
    return { after, startedAt, blobs, bytes }
  }

  async saveVerifyRun(run: VerifyRun | undefined): Promise<void> {
    if (run === undefined) this.#sql.dropRun.run()
    else this.#sql.putRun.run(run.after, run.startedAt, run.blobs, run.bytes)
  }

  /** Each blob once, whatever names it. */
  async #storedOf(id: number): Promise<Pick<HeldRepository, 'blobs' | 'bytes'>> {
    const stored = { blobs: 0, bytes: 0 }
    for (const statement of [this.#sql.named, this.#sql.topManifests]) {
      for await (const page of pagesOf((after) => statement.all(id, after, PAGE))) {
        for (const { size } of page) {
          if (size === null) continue
          stored.blobs += 1
          stored.bytes += size
        }
      }
    }
    return stored
  }

  #closure(id: number, digest: Digest, size: number): Closure {
    const row = this.#sql.image.get({ id, digest, size })
    return {
      blobs: row?.blobs ?? 0,
      bytes: row?.bytes ?? 0,
      storedBlobs: row?.stored_blobs ?? 0,
      storedBytes: row?.stored_bytes ?? 0,
    }
  }

  #toImage(row: ImageRow): HeldImage {
    const { id, upstream, name, tag, digest, size, checked_at: checkedAt } = row
    return {
      repository: { upstream, name },
      ...(tag !== null && { tag }),
      manifest: { digest, mediaType: row.media_type, size },
      ...(checkedAt !== null && { checkedAt }),
      isPinned: row.is_pinned === 1,
      isHeld: row.is_held === 1,
      closure: this.#closure(id, digest, size),
    }
  }
}

class RolledBack extends Error {
  override readonly name = 'RolledBack'
}

function toBlob({ digest, size, used_at: usedAt }: BlobRow): HeldBlob {
  return { digest, size, usedAt }
}
