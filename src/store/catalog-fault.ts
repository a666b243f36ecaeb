import { statSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'

/** Bytes. */
const SMALL = 4 * 1024 * 1024
/** Negative: KiB, and not pages. */
const CACHE_KIB = -512

/** What the thread is told, and answers. */
export interface FaultSearch {
  readonly path: string
}
export interface FaultFound {
  readonly fault: string | undefined
}

/**
 * Reads every page of a database: some 2 s for a gigabyte. What is wrong with it, in SQLite's words;
 * `undefined`: nothing. Throws where it cannot be read for other reasons than damage.
 */
export function findFault(path: string): string | undefined {
  let database: Database.Database | undefined
  try {
    // Not for reading only: then the log that it makes would stay behind.
    database = new Database(path, { fileMustExist: true })
    // Each page is looked at once: what is kept of them is of no use.
    database.pragma(`cache_size = ${CACHE_KIB}`)
    const said = String(database.pragma('quick_check(1)', { simple: true }))
    return said === 'ok' ? undefined : said.replaceAll(/\s+/g, ' ')
  } catch (cause) {
    if (isDamage(cause)) return cause.message
    throw cause
  } finally {
    database?.close()
  }
}

/** The same for a mirror that serves meanwhile: what takes more than milliseconds has a thread of its own. */
export async function findFaultAside(path: string): Promise<string | undefined> {
  if (statSync(path).size <= SMALL) return findFault(path)
  const { promise, resolve, reject } = Promise.withResolvers<FaultFound>()
  const script = `./catalog-fault-thread${extname(fileURLToPath(import.meta.url))}`
  const search: FaultSearch = { path }
  new Worker(new URL(script, import.meta.url), { workerData: search })
    .once('message', resolve)
    .once('error', reject)
    .once('exit', (code) => reject(new Error(`the check of ${path} ended with code ${code}`)))
  return (await promise).fault
}

/** Whether SQLite says that the file is not what it has to be. */
export function isDamage(cause: unknown): cause is Error {
  return cause instanceof Database.SqliteError && /^SQLITE_(NOTADB|CORRUPT)/.test(cause.code)
}
