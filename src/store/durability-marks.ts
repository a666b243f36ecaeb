import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import { writeForGood } from './for-good.ts'

/**
 * Which stored blobs are known to be on the disk itself, and not only in the machine's memory. A blob that
 * was not when the machine went down is suspect: its file may be there, with anything in it.
 */
export class DurabilityMarks {
  readonly #database: Database
  readonly #sql: ReturnType<typeof prepare>
  /** Given out by `pending`, and not landed again since. */
  readonly #inHand = new Set<Digest>()

  constructor(database: Database) {
    this.#database = database
    this.#sql = prepare(database)
  }

  /**
   * The machine is in this boot now; `undefined`: nobody knows in which. Returns how many blobs are suspect.
   */
  enterBoot(boot: string | undefined): number {
    return this.#database.transaction(() => {
      const isSame = boot !== undefined && this.#sql.boot.get()?.boot === boot
      if (!isSame) this.#sql.suspect.run()
      this.#sql.putBoot.run(boot ?? '')
      return this.#sql.suspects.all().length
    })()
  }

  /**
   * The rows are from a backup, and may be older than the files: none is known to be on the disk. What was
   * being evicted then may have landed since, and is suspect.
   */
  forgetAll(): void {
    writeForGood(this.#database, () => this.#sql.forgetAll.run())
  }

  suspects(): readonly Digest[] {
    return this.#sql.suspects.all().map(({ digest }) => digest)
  }

  /** It landed just now: what was synced of it before was another file. To be told of every landing. */
  landed(digest: Digest): void {
    this.#inHand.delete(digest)
  }

  /** Blobs that have landed and were not synced yet, at most `limit`, after `after`. */
  pending(after: string, limit: number): readonly Digest[] {
    const digests = this.#sql.pending.all(after, limit).map(({ digest }) => digest)
    for (const digest of digests) this.#inHand.add(digest)
    return digests
  }

  /** For one that is not from `pending`, before its file is opened. */
  take(digest: Digest): void {
    this.#inHand.add(digest)
  }

  /**
   * What `pending` and `take` gave out has been synced. Returns those that it still is true of: what has landed
   * again since is another file, and what is suspect is not right because it is on disk.
   */
  settle(digests: readonly Digest[]): readonly Digest[] {
    return this.#database.transaction(() =>
      digests.filter(
        (digest) => this.#inHand.delete(digest) && this.#sql.settle.run(digest).changes > 0,
      ),
    )()
  }

  /** The same; when it returns, the row and all that was committed before are on disk too. */
  settleForGood(digests: readonly Digest[]): readonly Digest[] {
    return writeForGood(this.#database, () => this.settle(digests))
  }

  /** A suspect's bytes were looked at, and are right: to be synced as if it had just landed. */
  clear(digest: Digest): void {
    this.#sql.clear.run(digest)
  }
}

interface Row {
  readonly digest: Digest
}

function prepare(database: Database) {
  return {
    boot: database.prepare<[], { readonly boot: string }>('SELECT boot FROM boots'),
    putBoot: database.prepare<[string]>(
      `INSERT INTO boots (id, boot) VALUES (1, ?)
       ON CONFLICT DO UPDATE SET boot = excluded.boot WHERE boot <> excluded.boot`,
    ),
    suspect: database.prepare<[]>('UPDATE blobs SET durability = 2 WHERE durability = 0'),
    forgetAll: database.prepare<[]>(
      `UPDATE blobs SET durability = iif(dead = 1 OR durability = 2, 2, 0), dead = 0
       WHERE durability = 1 OR dead = 1`,
    ),
    suspects: database.prepare<[], Row>('SELECT digest FROM blobs WHERE durability = 2'),
    // The second condition lets SQLite see that the partial index is enough.
    pending: database.prepare<[string, number], Row>(
      `SELECT digest FROM blobs WHERE durability = 0 AND durability <> 1 AND digest > ?
       ORDER BY digest LIMIT ?`,
    ),
    settle: database.prepare<[Digest]>(
      'UPDATE blobs SET durability = 1 WHERE digest = ? AND durability <> 2',
    ),
    clear: database.prepare<[Digest]>(
      'UPDATE blobs SET durability = 0 WHERE digest = ? AND durability = 2',
    ),
  }
}
