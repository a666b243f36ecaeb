import type { Database } from 'better-sqlite3'
import type {
  ArrivedImage,
  HeldPart,
  ImportCatalog,
  ImportMark,
} from '../core/airgap/import-catalog.ts'
import type { BundleOrigin } from '../core/airgap/import-api.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag, UpstreamName } from '../oci/reference.ts'
import { writeForGood } from './for-good.ts'
import { refusing } from './fs.ts'
import { ManifestNames } from './manifest-names.ts'
import type { RepositoryIds } from './repository-ids.ts'

/** The same file as the catalog, and the same connection, because it has one writer. */
export class SqliteImports implements ImportCatalog {
  readonly #database: Database
  readonly #sql: Statements
  readonly #repositories: RepositoryIds
  readonly #names: ManifestNames
  readonly #onTag: (repository: Repository, tag: Tag) => void

  /** `onTag` is told of each tag whose row has been changed here. */
  constructor(
    database: Database,
    repositories: RepositoryIds,
    onTag: (repository: Repository, tag: Tag) => void,
  ) {
    this.#database = database
    this.#sql = prepare(database)
    this.#repositories = repositories
    this.#names = new ManifestNames(database)
    this.#onTag = onTag
  }

  async part(repository: Repository, digest: Digest): Promise<HeldPart | undefined> {
    const row = this.#sql.part.get({ id: this.#repositories.findOrNone(repository), digest })
    if (row === undefined) return undefined
    const upstreams = this.#sql.upstreams.all(digest).map(({ upstream }) => upstream)
    return {
      size: row.size,
      isDurable: row.durability === 1,
      isLinked: row.is_linked === 1,
      ...(row.brought_by !== null && upstreams.length === 0 && { broughtBy: row.brought_by }),
      upstreams,
    }
  }

  async bring(digest: Digest, bundle: string): Promise<void> {
    refusing(() => this.#sql.bring.run(bundle, digest))
  }

  async commit(image: ArrivedImage): Promise<'committed' | 'kept' | 'gone'> {
    const result = refusing(() => writeForGood(this.#database, () => this.#commit(image)))
    if (image.tag !== undefined) this.#onTag(image.repository, image.tag)
    return result
  }

  async mark(repository: Repository, tag: Tag): Promise<ImportMark | undefined> {
    const row = this.#sql.mark.get(this.#repositories.findOrNone(repository), tag)
    if (row === undefined) return undefined
    const { name, bundle, at } = row
    return { name, at, ...(bundle !== null && { id: bundle }) }
  }

  async isPinned(repository: Repository, digest: Digest): Promise<boolean> {
    return this.#sql.isPinned.get(this.#repositories.findOrNone(repository), digest) !== undefined
  }

  async note({ id, name, created }: BundleOrigin, at: number): Promise<void> {
    if (id === undefined) return
    refusing(() => writeForGood(this.#database, () => this.#sql.note.run(id, name, created, at)))
  }

  async known(ids: readonly string[]): Promise<readonly string[]> {
    return ids.filter((id) => this.#sql.known.get(id) !== undefined)
  }

  #commit(image: ArrivedImage): 'committed' | 'kept' | 'gone' {
    const { repository, tag, manifest, parts, at, pin } = image
    const { isStored, putLink, claim, putPin } = this.#sql
    // Evicted since it was looked at.
    if (parts.some((digest) => isStored.get(digest) === undefined)) return 'gone'
    const id = this.#repositories.idOf(repository)
    this.#putManifests(id, image)
    for (const digest of parts) {
      putLink.run(digest, id)
      claim.run(digest)
    }
    if (tag !== undefined && !this.#putTag(id, tag, image)) return 'kept'
    if (pin) putPin.run(id, manifest.digest, at)
    return 'committed'
  }

  #putManifests(id: number, { manifests }: ArrivedImage): void {
    for (const { manifest, children } of manifests) {
      const { digest, mediaType, size } = manifest
      this.#sql.putManifest.run(id, digest, mediaType, size)
      this.#names.put(id, manifest, children)
    }
  }

  #putTag(id: number, tag: Tag, image: ArrivedImage): boolean {
    const { manifest, checkedAt, overwrite, origin, at } = image
    const { digest } = manifest
    const { putTag, noteTag, putMark } = this.#sql
    const force = overwrite ? 1 : 0
    if (putTag.run({ id, tag, digest, at: checkedAt, force }).changes === 0) return false
    noteTag.run({ id, tag, digest, at })
    putMark.run(id, tag, digest, at, origin.id ?? null, origin.name)
    return true
  }
}

type Statements = ReturnType<typeof prepare>

function prepare(database: Database) {
  return { ...lookUps(database), ...contentStatements(database), ...tagStatements(database) }
}

interface PartRow {
  readonly size: number
  readonly durability: 0 | 1 | 2
  readonly brought_by: string | null
  readonly is_linked: 0 | 1
}

interface MarkRow {
  readonly name: string
  readonly bundle: string | null
  readonly at: number
}

function lookUps(database: Database) {
  return {
    part: database.prepare<{ readonly id: number; readonly digest: Digest }, PartRow>(
      `SELECT size, durability, brought_by, EXISTS (
         SELECT 1 FROM links WHERE digest = @digest AND repository = @id
       ) AS is_linked FROM blobs WHERE digest = @digest AND dead = 0`,
    ),
    isStored: database.prepare<[Digest], 1>('SELECT 1 FROM blobs WHERE digest = ? AND dead = 0'),
    upstreams: database.prepare<[Digest], { readonly upstream: UpstreamName }>(
      `SELECT DISTINCT r.upstream FROM links l JOIN repositories r ON r.id = l.repository
       WHERE l.digest = ?`,
    ),
    mark: database.prepare<[number, Tag], MarkRow>(
      `SELECT i.name, i.bundle, i.at FROM imports i
       JOIN tags t ON t.repository = i.repository AND t.tag = i.tag AND t.digest = i.digest
       WHERE i.repository = ? AND i.tag = ?`,
    ),
    isPinned: database.prepare<[number, Digest], 1>(
      'SELECT 1 FROM pins WHERE repository = ? AND digest = ?',
    ),
    known: database.prepare<[string], 1>('SELECT 1 FROM bundles WHERE id = ?'),
    note: database.prepare<[string, string, number, number]>(
      `INSERT INTO bundles (id, name, created_at, at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET name = excluded.name, at = excluded.at`,
    ),
  }
}

function contentStatements(database: Database) {
  return {
    putManifest: database.prepare<[number, Digest, string, number]>(
      `INSERT INTO manifests (repository, digest, media_type, size) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    ),
    putLink: database.prepare<[Digest, number]>(
      `INSERT INTO links (digest, repository, landed) VALUES (?, ?, 1)
       ON CONFLICT DO UPDATE SET landed = 1`,
    ),
    bring: database.prepare<[string, Digest]>(
      `UPDATE blobs SET brought_by = ? WHERE digest = ? AND brought_by IS NULL
       AND NOT EXISTS (SELECT 1 FROM links l WHERE l.digest = blobs.digest)`,
    ),
    claim: database.prepare<[Digest]>(
      `UPDATE blobs SET adopted_at = NULL, brought_by = NULL
       WHERE digest = ? AND (adopted_at IS NOT NULL OR brought_by IS NOT NULL)`,
    ),
    putPin: database.prepare<[number, Digest, number]>(
      'INSERT INTO pins (repository, digest, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    ),
  }
}

function tagStatements(database: Database) {
  return {
    // The same digest keeps the later check. A tag that is held, or newer here, stays where it is.
    putTag: database.prepare<{
      readonly id: number
      readonly tag: Tag
      readonly digest: Digest
      readonly at: number
      readonly force: 0 | 1
    }>(
      `INSERT INTO tags (repository, tag, digest, checked_at) VALUES (@id, @tag, @digest, @at)
       ON CONFLICT DO UPDATE SET digest = @digest,
         checked_at = iif(digest = @digest, max(checked_at, @at), @at)
       WHERE digest = @digest OR ((@force = 1 OR checked_at <= @at) AND NOT EXISTS (
         SELECT 1 FROM holds h WHERE h.repository = @id AND h.tag = @tag
       ))`,
    ),
    noteTag: database.prepare<{
      readonly id: number
      readonly tag: Tag
      readonly digest: Digest
      readonly at: number
    }>(
      `INSERT INTO tag_history (repository, tag, digest, at)
       SELECT @id, @tag, @digest, @at WHERE @digest IS NOT (
         SELECT digest FROM tag_history WHERE repository = @id AND tag = @tag ORDER BY id DESC LIMIT 1
       )`,
    ),
    putMark: database.prepare<[number, Tag, Digest, number, string | null, string]>(
      `INSERT INTO imports (repository, tag, digest, at, bundle, name) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET digest = excluded.digest, at = excluded.at,
         bundle = excluded.bundle, name = excluded.name`,
    ),
  }
}
