import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'

interface Findings {
  readonly seen: number
  readonly wrong: readonly string[]
}

/** What was looked at so far. */
export interface Looked {
  files: number
  rows: number
  readonly wrong: string[]
}

export async function lookAtFiles(dataDir: string, looked: Looked): Promise<void> {
  const { seen, wrong } = await findWrongFiles(dataDir)
  looked.files += seen
  looked.wrong.push(...wrong)
}

export async function lookAtRows(dataDir: string, looked: Looked): Promise<void> {
  const { seen, wrong } = await findWrongRows(dataDir)
  looked.rows += seen
  looked.wrong.push(...wrong)
}

/** Every file below `blobs` has to hold the bytes that its name promises. For a mirror that is not running. */
async function findWrongFiles(dataDir: string): Promise<Findings> {
  const entries = await readdir(join(dataDir, 'blobs'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const wrong: string[] = []
  for (const { parentPath, name } of files) {
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(join(parentPath, name))) hash.update(chunk)
    if (hash.digest('hex') !== basename(name)) wrong.push(`${name} holds other bytes`)
  }
  return { seen: files.length, wrong }
}

/** Every row of a blob has to have a file of its size, and the database to be whole. */
async function findWrongRows(dataDir: string): Promise<Findings> {
  const database = new Database(join(dataDir, 'catalog.db'), { readonly: true })
  try {
    const wrong: string[] = []
    const said = database.pragma('quick_check', { simple: true })
    if (said !== 'ok') wrong.push(`the catalog is damaged: ${String(said)}`)
    const rows = database
      .prepare<[], { digest: string; size: number }>(
        'SELECT digest, size FROM blobs WHERE dead = 0',
      )
      .all()
    for (const { digest, size } of rows) {
      const found = await statBlob(dataDir, digest)
      if (found?.size !== size) wrong.push(`${digest} has ${size} bytes, its file ${found?.size}`)
    }
    return { seen: rows.length, wrong }
  } finally {
    database.close()
  }
}

/** How many files lie below `blobs`, those without a row too. For a mirror that may be running. */
export function countBlobFiles(dataDir: string): number {
  const blobs = join(dataDir, 'blobs/sha256')
  if (!existsSync(blobs)) return 0
  return readdirSync(blobs).reduce((sum, at) => sum + readdirSync(join(blobs, at)).length, 0)
}

/** Digests that the catalog says are here. */
export function heldBlobs(dataDir: string): ReadonlySet<string> {
  try {
    const options = { readonly: true, fileMustExist: true }
    const database = new Database(join(dataDir, 'catalog.db'), options)
    try {
      const rows = database.prepare<[], { digest: string }>(
        'SELECT digest FROM blobs WHERE dead = 0',
      )
      return new Set(rows.all().map(({ digest }) => digest))
    } finally {
      database.close()
    }
  } catch {
    // It was killed before there was a catalog.
    return new Set()
  }
}

/** The file of a blob, if there is one. */
export async function statBlob(dataDir: string, digest: string): Promise<Stats | undefined> {
  const hex = digest.slice('sha256:'.length)
  return stat(join(dataDir, 'blobs/sha256', hex.slice(0, 2), hex)).catch(() => undefined)
}
