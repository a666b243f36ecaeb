import type { Database } from 'better-sqlite3'

/**
 * Runs the change as one transaction. When it returns, that and all that was committed before survive a loss of
 * power, which costs a wait for the disk: for what a person is told is done, and not for pulls.
 */
export function writeForGood<T>(database: Database, change: () => T): T {
  database.pragma('synchronous = FULL')
  try {
    return database.transaction(change)()
  } finally {
    database.pragma('synchronous = NORMAL')
  }
}
