import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'

interface Findings {
  readonly seen: number
  readonly wrong: readonly string[]
}

/** Every file below `blobs` has to hold the bytes that its name promises. For a mirror that is not running. */
export async function findWrongFiles(dataDir: string): Promise<Findings> {
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
export async function findWrongRows(dataDir: string): Promise<Findings> {
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
      const hex = digest.slice('sha256:'.length)
      const path = join(dataDir, 'blobs/sha256', hex.slice(0, 2), hex)
      const found = await stat(path).catch(() => undefined)
      if (found?.size !== size) wrong.push(`${digest} has ${size} bytes, its file ${found?.size}`)
    }
    return { seen: rows.length, wrong }
  } finally {
    database.close()
  }
}
