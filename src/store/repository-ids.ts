import type { Database } from 'better-sqlite3'
import { LRUCache } from 'lru-cache'
import type { Repository } from '../oci/reference.ts'
import type { Statements } from './catalog-statements.ts'

const REMEMBERED = 10_000

/** The numbers of repositories, of which rows are made. */
export class RepositoryIds {
  readonly #database: Database
  readonly #sql: Pick<Statements, 'repository' | 'putRepository'>
  readonly #known = new LRUCache<string, number>({ max: REMEMBERED })

  constructor(database: Database, sql: Pick<Statements, 'repository' | 'putRepository'>) {
    this.#database = database
    this.#sql = sql
  }

  /** Asking never adds a repository: names that do not exist cost clients nothing to invent. */
  find({ upstream, name }: Repository): number | undefined {
    const key = `${upstream}/${name}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const id = this.#sql.repository.get(upstream, name)?.id
    // What a transaction has added may be taken back, and then the number goes to another repository,
    // which would be given what is linked to this one.
    if (id !== undefined && !this.#database.inTransaction) this.#known.set(key, id)
    return id
  }

  /** The same, added if need be. */
  idOf(repository: Repository): number {
    const found = this.find(repository)
    if (found !== undefined) return found
    const { upstream, name } = repository
    this.#sql.putRepository.run(upstream, name)
    const id = this.find(repository)
    if (id === undefined)
      throw new Error(`the catalog did not take the repository ${upstream}/${name}`)
    return id
  }
}
