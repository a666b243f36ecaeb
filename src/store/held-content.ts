import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { Repository, RepositoryName, Tag, UpstreamName } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import type { RepositoryIds } from './repository-ids.ts'

/** More than anyone attaches; with the limit on annotations, a bound on what an answer holds. */
const MAX_REFERRERS = 256
/** Enough to tell of; an image is rarely in more than two indexes. */
const MAX_PARENTS = 8

interface ReferrerRow {
  readonly digest: Digest
  readonly media_type: string
  readonly size: number
  readonly artifact_type: string | null
  readonly annotations: string | null
}

/** What the catalog lists for clients, without asking anybody: only manifests that are stored. */
export class HeldContent {
  readonly #repositories: RepositoryIds
  readonly #sql: ReturnType<typeof prepare>

  constructor(database: Database, repositories: RepositoryIds) {
    this.#repositories = repositories
    this.#sql = prepare(database)
  }

  referrers(repository: Repository, subject: Digest): readonly Referrer[] {
    const id = this.#repositories.find(repository)
    if (id === undefined) return []
    return this.#sql.referrers.all(id, subject, MAX_REFERRERS).map(toReferrer)
  }

  /** `undefined`: nothing of the repository is stored. */
  tags(repository: Repository, after: string, limit: number): readonly Tag[] | undefined {
    const id = this.#repositories.find(repository)
    if (id === undefined || this.#sql.hasAny.get(id) === undefined) return undefined
    return this.#sql.tags.all(id, after, limit).map(({ tag }) => tag)
  }

  parents(repository: Repository, digest: Digest): readonly Digest[] {
    const id = this.#repositories.find(repository)
    if (id === undefined) return []
    return this.#sql.storedParents.all(id, digest, MAX_PARENTS).map(({ parent }) => parent)
  }

  /** Their full names in the order of ASCII. */
  repositories(after: string, limit: number): readonly Repository[] {
    return this.#sql.repositories.all(after, limit)
  }
}

function toReferrer(row: ReferrerRow): Referrer {
  return {
    digest: row.digest,
    mediaType: row.media_type,
    size: row.size,
    ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
    ...(row.annotations !== null && {
      annotations: JSON.parse(row.annotations) as Readonly<Record<string, string>>,
    }),
  }
}

function prepare(database: Database) {
  return {
    referrers: database.prepare<[number, Digest, number], ReferrerRow>(
      `SELECT r.digest, m.media_type, m.size, r.artifact_type, r.annotations FROM referrers r
       JOIN manifests m ON m.repository = r.repository AND m.digest = r.digest
       JOIN blobs b ON b.digest = r.digest AND b.dead = 0
       WHERE r.repository = ? AND r.subject = ? LIMIT ?`,
    ),
    hasAny: database.prepare<[number], 1>(
      `SELECT 1 FROM manifests m JOIN blobs b ON b.digest = m.digest AND b.dead = 0
       WHERE m.repository = ? LIMIT 1`,
    ),
    // In the order of the primary key, so that a page costs what it holds.
    tags: database.prepare<[number, string, number], { readonly tag: Tag }>(
      `SELECT t.tag FROM tags t
       CROSS JOIN manifests m ON m.repository = t.repository AND m.digest = t.digest
       CROSS JOIN blobs b ON b.digest = t.digest AND b.dead = 0
       WHERE t.repository = ? AND t.tag > ? ORDER BY t.tag LIMIT ?`,
    ),
    storedParents: database.prepare<[number, Digest, number], { readonly parent: Digest }>(
      `SELECT c.parent FROM children c
       JOIN manifests m ON m.repository = c.repository AND m.digest = c.parent
       JOIN blobs b ON b.digest = c.parent AND b.dead = 0
       WHERE c.repository = ? AND c.digest = ? LIMIT ?`,
    ),
    repositories: database.prepare<
      [string, number],
      { readonly upstream: UpstreamName; readonly name: RepositoryName }
    >(
      `SELECT upstream, name FROM repositories r
       WHERE upstream || '/' || name > ? AND EXISTS (
         SELECT 1 FROM manifests m JOIN blobs b ON b.digest = m.digest AND b.dead = 0
         WHERE m.repository = r.id
       ) ORDER BY upstream || '/' || name LIMIT ?`,
    ),
  }
}
