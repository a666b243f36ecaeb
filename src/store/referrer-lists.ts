import type { Database } from 'better-sqlite3'
import type { ListSource, ReferrerList } from '../core/lists.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, RepositoryName, UpstreamName } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'

/** Of all lists together. Anyone may ask about any digest, so what the answers take has to end. */
const MAX_BYTES = 64 * 1024 * 1024
/** An estimate of what a row costs besides its list. */
const ROW_OVERHEAD = 300

type Key = readonly [UpstreamName, RepositoryName, Digest]

interface ListRow {
  readonly checked_at: number
  readonly source: ListSource
  readonly referrers: string
}

/** The referrers that upstreams have named, so that an outage or a restart does not hide them. */
export class ReferrerLists {
  readonly #database: Database
  readonly #sql: ReturnType<typeof prepare>
  #bytes: number

  constructor(database: Database) {
    this.#database = database
    this.#sql = prepare(database)
    this.#bytes = this.#sql.total.get()?.bytes ?? 0
  }

  get({ upstream, name }: Repository, subject: Digest): ReferrerList | undefined {
    const row = this.#sql.get.get(upstream, name, subject)
    if (row === undefined) return undefined
    return {
      referrers: JSON.parse(row.referrers) as readonly Referrer[],
      checkedAt: row.checked_at,
      source: row.source,
    }
  }

  hasFromApi({ upstream, name }: Repository): boolean {
    return this.#sql.fromApi.get(upstream, name) !== undefined
  }

  put({ upstream, name }: Repository, subject: Digest, list: ReferrerList): void {
    const key: Key = [upstream, name, subject]
    const text = JSON.stringify(list.referrers)
    const size = Buffer.byteLength(text) + ROW_OVERHEAD
    this.#bytes = this.#database.transaction(() => {
      const earlier = this.#sql.head.get(...key)
      if (earlier !== undefined && earlier.checked_at > list.checkedAt) return this.#bytes
      this.#sql.put.run(...key, list.checkedAt, list.source, size, text)
      return this.#trim(this.#bytes + size - (earlier?.size ?? 0))
    })()
  }

  /** The lists that were checked longest ago go first. Returns what is left of `bytes`. */
  #trim(bytes: number): number {
    let left = bytes
    while (left > MAX_BYTES) left -= this.#sql.dropOldest.get()?.size ?? left
    return left
  }
}

function prepare(database: Database) {
  const where = 'WHERE upstream = ? AND name = ? AND subject = ?'
  return {
    get: database.prepare<[...Key], ListRow>(
      `SELECT checked_at, source, referrers FROM referrer_lists ${where}`,
    ),
    fromApi: database.prepare<[UpstreamName, RepositoryName]>(
      `SELECT 1 FROM referrer_lists WHERE upstream = ? AND name = ? AND source = 'api' LIMIT 1`,
    ),
    head: database.prepare<[...Key], { readonly checked_at: number; readonly size: number }>(
      `SELECT checked_at, size FROM referrer_lists ${where}`,
    ),
    put: database.prepare<[...Key, number, ListSource, number, string]>(
      `INSERT INTO referrer_lists (upstream, name, subject, checked_at, source, size, referrers)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET checked_at = excluded.checked_at, source = excluded.source,
         size = excluded.size, referrers = excluded.referrers`,
    ),
    dropOldest: database.prepare<[], { readonly size: number }>(
      `DELETE FROM referrer_lists WHERE rowid =
         (SELECT rowid FROM referrer_lists ORDER BY checked_at LIMIT 1) RETURNING size`,
    ),
    total: database.prepare<[], { readonly bytes: number }>(
      'SELECT coalesce(sum(size), 0) AS bytes FROM referrer_lists',
    ),
  }
}
