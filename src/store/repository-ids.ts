import type { Database, Statement } from 'better-sqlite3'
import { LRUCache } from 'lru-cache'
import type { Repository, RepositoryName, UpstreamName } from '../oci/reference.ts'

const REMEMBERED = 10_000

/** The numbers of repositories, of which rows are made. */
export class RepositoryIds {
  readonly #database: Database
  readonly #get: Statement<[UpstreamName, RepositoryName], { readonly id: number }>
  readonly #put: Statement<[UpstreamName, RepositoryName]>
  readonly #known = new LRUCache<string, number>({ max: REMEMBERED })

  constructor(database: Database) {
    this.#database = database
    this.#get = database.prepare('SELECT id FROM repositories WHERE upstream = ? AND name = ?')
    this.#put = database.prepare(
      'INSERT INTO repositories (upstream, name) VALUES (?, ?) ON CONFLICT DO NOTHING',
    )
  }

  /** Asking never adds a repository: names that do not exist cost clients nothing to invent. */
  find({ upstream, name }: Repository): number | undefined {
    const key = `${upstream}/${name}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const id = this.#get.get(upstream, name)?.id
    // What a transaction has added may be taken back, and then the number goes to another repository,
    // which would be given what is linked to this one.
    if (id !== undefined && !this.#database.inTransaction) this.#known.set(key, id)
    return id
  }

  /** The same for a query, which finds nothing where there is none: no repository has the number 0. */
  findOrNone(repository: Repository): number {
    return this.find(repository) ?? 0
  }

  /** The same, added if need be. */
  idOf(repository: Repository): number {
    const found = this.find(repository)
    if (found !== undefined) return found
    const { upstream, name } = repository
    this.#put.run(upstream, name)
    const id = this.find(repository)
    if (id === undefined)
      throw new Error(`the catalog did not take the repository ${upstream}/${name}`)
    return id
  }
}
