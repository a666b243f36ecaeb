import { existsSync, readdirSync, renameSync, statSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import Database from 'better-sqlite3'
import type { Log } from '../core/log.ts'
import type { Clock } from '../core/ports.ts'
import { StartError } from '../core/start-error.ts'
import { findFault, isDamage } from './catalog-fault.ts'
import { isErrno, nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import { SqliteCatalog } from './sqlite-catalog.ts'
import { syncDirectory, syncPath } from './sync-path.ts'

/**
 * Bytes. Checking a larger catalog page by page would keep a start waiting for more than a second: that is done
 * with its next backup, while the mirror serves.
 */
const CHECKED_BYTES = 256 * 1024 * 1024
/** What belongs to a database file, besides itself. */
const COMPANIONS = ['-wal', '-shm', '-journal']

const GONE = 'it was gone'
const EMPTY = 'it was empty'
const WITHOUT_TABLES = 'it had no tables'

interface Recovery {
  readonly layout: Layout
  readonly clock: Clock
  readonly log: Log
}

interface OpenedCatalog {
  readonly catalog: SqliteCatalog
  /** Its rows are from the backup. */
  readonly isRestored: boolean
}

/**
 * Opens the catalog. One that is damaged, empty or gone although there was one is set aside, and its backup
 * takes its place; without a backup a new one does, and the blobs stay until the sweep finds them. Throws
 * StartError for one of another version, and for one that cannot be opened for reasons of its surroundings.
 */
export async function openCatalog({ layout, clock, log }: Recovery): Promise<OpenedCatalog> {
  const path = layout.catalog
  const fault = judge(path, existsSync(layout.suspect))
  if (fault === undefined || (isBlank(fault) && !hasHistory(layout))) {
    await nodeFs.remove(layout.suspect)
    return { catalog: await SqliteCatalog.open(path), isRestored: false }
  }
  const at = new Date(clock.now()).toISOString().replaceAll(':', '-')
  const aside = setAside(path, at)
  const isRestored = await restore(layout, at, log)
  const fields = { catalog: path, fault, ...(aside !== undefined && { aside }) }
  if (isRestored) log.error(fields, 'found the catalog damaged and restored its backup')
  else log.error(fields, 'found the catalog damaged and began a new one: no backup could be used')
  await nodeFs.remove(layout.suspect)
  return { catalog: await SqliteCatalog.open(path), isRestored }
}

/** Whether there has been a catalog: a first start has neither a backup nor a blob. */
function hasHistory({ backup, blobs }: Layout): boolean {
  return existsSync(backup) || (existsSync(blobs) && readdirSync(blobs).length > 0)
}

/** Nothing is lost with it: so is a catalog before its first start has ended. */
function isBlank(fault: string): boolean {
  return fault === GONE || fault === EMPTY || fault === WITHOUT_TABLES
}

/** What is wrong with the file, in the past tense; `undefined`: nothing that we can find. */
function judge(path: string, isSuspect: boolean): string | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined) return GONE
  // SQLite takes an empty file for a new database.
  if (size === 0) return EMPTY
  try {
    if (hasNoTables(path)) return WITHOUT_TABLES
    return size > CHECKED_BYTES && !isSuspect ? undefined : findFault(path)
  } catch (cause) {
    if (isDamage(cause)) return cause.message
    throw unusable(path, cause)
  }
}

/** Opens it for writing: only so is a log that was left behind brought in. */
function hasNoTables(path: string): boolean {
  const database = new Database(path)
  try {
    return database.pragma('user_version', { simple: true }) === 0
  } finally {
    database.close()
  }
}

/** Where it is now; `undefined` if there was nothing. Nothing is ever deleted: someone may want to look. */
function setAside(path: string, at: string): string | undefined {
  const aside = `${path}.damaged-${at}`
  let isThere = false
  for (const companion of ['', ...COMPANIONS]) {
    try {
      renameSync(path + companion, aside + companion)
      isThere = true
    } catch (cause) {
      if (!isErrno(cause, 'ENOENT')) throw unusable(path, cause)
    }
  }
  return isThere ? aside : undefined
}

/** The backup itself stays where it is: it is the only one. */
async function restore({ root, catalog, backup }: Layout, at: string, log: Log): Promise<boolean> {
  if (!existsSync(backup)) return false
  const path = `${catalog}.restoring`
  // What an earlier start was killed over.
  for (const companion of ['', ...COMPANIONS]) await nodeFs.remove(path + companion)
  await copyFile(backup, path)
  const fault = judge(path, true)
  if (fault !== undefined) {
    await nodeFs.remove(path)
    const aside = setAside(backup, at)
    log.error({ backup, fault, aside }, 'found the backup of the catalog damaged')
    return false
  }
  // Before it counts: whoever is killed after the rename has no second chance to say so.
  const restoring = await SqliteCatalog.open(path)
  restoring.durability.forgetAll()
  await restoring.close()
  await syncPath(nodeFs, path)
  await nodeFs.rename(path, catalog)
  await syncDirectory(nodeFs, root)
  return true
}

function unusable(path: string, cause: unknown): StartError {
  const said = cause instanceof Error ? cause.message : String(cause)
  return new StartError(
    `cannot use the catalog ${path}: ${said}; its directory has to be writable, on a local disk with room`,
    { cause },
  )
}
