import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { Reference, Repository } from '../oci/reference.ts'

/** One transaction for many requests. */
const WRITE_EVERY_MS = 5_000
const MAX_REMEMBERED = 100_000
/** Times that it is tried to write a mark whose row may still be on its way: half a minute. */
const TRIES = 6

interface Served {
  readonly repository: Repository
  readonly reference: Reference
  readonly at: number
  readonly tries: number
}

/**
 * When blobs were used, and what clients were given, ms since the epoch: kept in memory and written in batches.
 * Losing a few seconds of it only makes an eviction, or a list, a little less exact.
 */
export class UseTimes {
  readonly #database: Database
  readonly #sql: ReturnType<typeof prepare>
  readonly #timer: NodeJS.Timeout
  readonly #touched = new Map<Digest, number>()
  readonly #served = new Map<string, Served>()
  #changes = 0

  constructor(database: Database) {
    this.#database = database
    this.#sql = prepare(database)
    this.#timer = setInterval(() => this.write(), WRITE_EVERY_MS).unref()
  }

  /** Rows changed by it. */
  get changes(): number {
    return this.#changes
  }

  touch(digest: Digest, at: number): void {
    this.#touched.set(digest, at)
  }

  serve(repository: Repository, reference: Reference, at: number): void {
    const name = reference.kind === 'tag' ? reference.tag : reference.digest
    const key = `${repository.upstream}/${repository.name}:${name}`
    this.#served.set(key, { repository, reference, at, tries: 0 })
  }

  /** The blob has gone. */
  forget(digest: Digest): void {
    this.#touched.delete(digest)
  }

  write(): void {
    if (this.#touched.size === 0 && this.#served.size === 0) return
    try {
      const late = this.#database.transaction(() => this.#writeAll())()
      this.#touched.clear()
      this.#served.clear()
      for (const [key, mark] of late) this.#served.set(key, mark)
    } catch {
      // A locked or full database: the times are kept for the next turn, and bounded.
      if (this.#touched.size > MAX_REMEMBERED) this.#touched.clear()
      if (this.#served.size > MAX_REMEMBERED) this.#served.clear()
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.write()
  }

  /** The marks that had no row yet: a tag's moves to where the client's next request is for. */
  #writeAll(): readonly (readonly [string, Served])[] {
    const { touch, serveTag, serveManifest } = this.#sql
    for (const [digest, at] of this.#touched) this.#changes += touch.run({ digest, at }).changes
    const late: [string, Served][] = []
    for (const [key, mark] of this.#served) {
      const { repository, reference, at, tries } = mark
      const { upstream, name } = repository
      const { changes } =
        reference.kind === 'tag'
          ? serveTag.run({ upstream, name, at, tag: reference.tag })
          : serveManifest.run({ upstream, name, at, digest: reference.digest })
      this.#changes += changes
      if (changes === 0 && tries < TRIES) late.push([key, { ...mark, tries: tries + 1 }])
    }
    return late
  }
}

interface ServedWhere {
  readonly upstream: string
  readonly name: string
  readonly at: number
}

function prepare(database: Database) {
  const repository = '(SELECT id FROM repositories WHERE upstream = @upstream AND name = @name)'
  return {
    touch: database.prepare<{ readonly digest: Digest; readonly at: number }>(
      `UPDATE blobs SET used_at = @at, ranked_at = max(ranked_at, @at)
       WHERE digest = @digest AND used_at < @at`,
    ),
    serveTag: database.prepare<ServedWhere & { readonly tag: string }>(
      `UPDATE tags SET served_at = max(served_at, @at) WHERE repository = ${repository} AND tag = @tag`,
    ),
    serveManifest: database.prepare<ServedWhere & { readonly digest: Digest }>(
      `UPDATE manifests SET served_at = max(served_at, @at)
       WHERE repository = ${repository} AND digest = @digest`,
    ),
  }
}
