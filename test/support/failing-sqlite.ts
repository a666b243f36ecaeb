import Database from 'better-sqlite3'

export interface SqliteInjection {
  /** How many statements have failed so far. */
  readonly hits: number
  [Symbol.dispose](): void
}

interface Run {
  readonly source: string
}

/**
 * Every statement of this process whose text has `part` in it fails from now on when it is run, as it does
 * on a disk that takes nothing more: `SQLITE_FULL`, `SQLITE_IOERR_WRITE`.
 */
export function failStatements(part: string, code = 'SQLITE_FULL'): SqliteInjection {
  const probe = new Database(':memory:')
  const prototype: unknown = Object.getPrototypeOf(probe.prepare('SELECT 1'))
  probe.close()
  const statements = prototype as { run: (this: Run, ...values: unknown[]) => unknown }
  const { run } = statements
  let hits = 0
  statements.run = function (...values) {
    if (!this.source.includes(part)) return run.apply(this, values)
    hits += 1
    throw new Database.SqliteError('injected: database or disk is full', code)
  }
  return {
    get hits() {
      return hits
    },
    [Symbol.dispose]: () => {
      statements.run = run
    },
  }
}
