import type { Database } from 'better-sqlite3'
import type { UntaggedManifest } from '../core/maintenance/inventory.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, UpstreamName } from '../oci/reference.ts'
import { rowsOf } from './turns.ts'

/** Rows of one query: some milliseconds. */
const PAGE = 500

interface Row {
  readonly repository: number
  readonly upstream: UpstreamName
  readonly name: RepositoryName
  readonly digest: Digest
  readonly is_named: 0 | 1
  readonly was_tagged: 0 | 1
}

/** Manifests that nothing in their repository names, and that are attached to nothing. */
export class UntaggedManifests {
  readonly #sql: ReturnType<typeof prepare>

  constructor(database: Database) {
    this.#sql = prepare(database)
  }

  async all(): Promise<readonly UntaggedManifest[]> {
    const rows = rowsOf<Row>((last) =>
      this.#sql.all(last?.repository ?? 0, last?.digest ?? '', PAGE),
    )
    const untagged: UntaggedManifest[] = []
    for await (const { upstream, name, digest, ...row } of rows) {
      if (row.is_named === 1) continue
      untagged.push({ repository: { upstream, name }, digest, wasTagged: row.was_tagged === 1 })
    }
    return untagged
  }
}

function has(table: string, more = ''): string {
  return `EXISTS (SELECT 1 FROM ${table} x ${more} WHERE x.repository = m.repository AND x.digest = m.digest)`
}

function prepare(database: Database) {
  return database.prepare<[number, string, number], Row>(
    `SELECT m.repository, r.upstream, r.name, m.digest, ${has('tags', 'INDEXED BY tags_by_digest')}
       OR ${has('children')} OR ${has('pins')}
       OR ${has('referrers', 'INDEXED BY referrers_by_digest')} AS is_named,
       ${has('tag_history', 'INDEXED BY tag_history_by_digest')} AS was_tagged
     FROM manifests m JOIN repositories r ON r.id = m.repository
     WHERE (m.repository, m.digest) > (?, ?) ORDER BY m.repository, m.digest LIMIT ?`,
  )
}
