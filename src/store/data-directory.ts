import { existsSync, mkdirSync, readFileSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { StartError } from '../core/start-error.ts'
import { isErrno } from './fs.ts'
import type { Layout } from './layout.ts'
import { FORMAT, layoutOf } from './layout.ts'

/** Floor for the WAL-reset corruption bug of 3.7.0 to 3.51.2. */
const SQLITE_FLOOR = [3, 51, 3] as const

/** What statfs(2) calls them. SQLite's log needs memory that processes share, which these do not have. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x5346414f, 'AFS'],
])

export interface DataDirectory {
  readonly layout: Layout
  release(): void
}

/**
 * Makes the directory ours: creates it, checks its format, and locks it until `release` or the end of
 * the process, however that comes. Throws StartError.
 */
export function openDataDirectory(
  root: string,
  fileSystemOf: (path: string) => number = (path) => statfsSync(path).type,
): DataDirectory {
  const layout = layoutOf(root)
  try {
    makeDirectory(root)
  } catch (cause) {
    throw unusable(root, cause)
  }
  refuseNetwork(root, fileSystemOf)
  const lock = takeLock(layout)
  try {
    checkFormat(layout)
    return { layout, release: () => lock.close() }
  } catch (reason) {
    lock.close()
    throw reason
  }
}

function refuseNetwork(root: string, fileSystemOf: (path: string) => number): void {
  const kind = NETWORK_FILE_SYSTEMS.get(fileSystemOf(root))
  if (kind === undefined) return
  throw new StartError(
    `the data directory ${root} is on a network file system (${kind}), where a catalog gets damaged: ` +
      'put it on a local disk (storage.dir)',
  )
}

/** With its parents. Not by `recursive`, which goes on forever where the system refuses with ENOENT (/proc). */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path)
  } catch (cause) {
    if (isErrno(cause, 'EEXIST') && statSync(path).isDirectory()) return
    const parent = dirname(path)
    if (!isErrno(cause, 'ENOENT') || existsSync(parent)) throw cause
    makeDirectory(parent)
    mkdirSync(path)
  }
}

/**
 * An exclusive transaction on a database of its own. Unlike a file with a process id, the lock is gone
 * the instant that its holder is, and never outlives it.
 */
function takeLock({ root, lock: path }: Layout): Database.Database {
  let database: Database.Database | undefined
  try {
    database = new Database(path, { timeout: 0 })
    checkSqlite(database)
    database.exec('BEGIN EXCLUSIVE')
    return database
  } catch (cause) {
    database?.close()
    if (cause instanceof StartError) throw cause
    if (isErrno(cause, 'SQLITE_BUSY')) {
      const hint = 'stop it, or give this one a directory of its own (storage.dir)'
      throw new StartError(`another oci-mirror is using the data directory ${root}: ${hint}`, {
        cause,
      })
    }
    throw unusable(root, cause)
  }
}

function checkSqlite(database: Database.Database): void {
  const version = String(database.prepare('SELECT sqlite_version()').pluck().get())
  const parts = version.split('.').map(Number)
  for (const [index, floor] of SQLITE_FLOOR.entries()) {
    const part = parts[index] ?? 0
    if (part > floor) return
    if (part < floor) {
      const wanted = SQLITE_FLOOR.join('.')
      throw new StartError(
        `SQLite ${version} can damage its log: ${wanted} or newer is needed; reinstall the packages`,
      )
    }
  }
}

function checkFormat({ root, format }: Layout): void {
  let found = ''
  try {
    found = readFileSync(format, 'utf8').trim()
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT')) throw unusable(root, cause)
  }
  // An empty one is from a start that was killed between making the file and writing to it.
  if (found === '') {
    try {
      writeFileSync(format, `${FORMAT}\n`)
      return
    } catch (cause) {
      throw unusable(root, cause)
    }
  }
  if (found === String(FORMAT)) return
  const hint = 'use the version of oci-mirror that wrote it, or another directory (storage.dir)'
  throw new StartError(
    `the data directory ${root} has format ${JSON.stringify(found)}, this program reads ${FORMAT}: ${hint}`,
  )
}

function unusable(root: string, cause: unknown): StartError {
  const said = cause instanceof Error ? cause.message : String(cause)
  return new StartError(
    `cannot use the data directory ${root}: ${said}; make it writable or choose another (storage.dir)`,
    { cause },
  )
}
