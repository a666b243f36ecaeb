import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { inspect } from 'node:util'
import Database from 'better-sqlite3'
import { expect } from 'vitest'
import type { TestMirror } from './test-mirror.ts'

export interface OracleOptions {
  /** Asked for again, now that nothing is wrong any more: all of them have to be answered whole. */
  readonly retry?: readonly string[]
  /** Secrets that the test used: none may be in the log. */
  readonly canaries?: readonly string[]
}

/**
 * What holds after every fault, whatever it was. The mirror runs on; its disposal checks the sockets and
 * descriptors that are left.
 */
export async function expectIntact(mirror: TestMirror, options: OracleOptions = {}): Promise<void> {
  await mirror.settle()
  await expectTrueNames(mirror.dir)
  for (const path of options.retry ?? []) await expectWhole(mirror, path)
  await mirror.settle()
  await expectTrueNames(mirror.dir)
  await expectTrueRows(mirror.dir)
  await expect.poll(() => mirror.openFiles()).toBe(0)
  const log = inspect(mirror.logs, { depth: 10 })
  for (const canary of options.canaries ?? []) expect(log).not.toContain(canary)
}

/** Every file below `blobs` holds the bytes that its name promises. */
export async function expectTrueNames(dir: string): Promise<void> {
  for (const path of await filesBelow(join(dir, 'blobs'))) {
    const hash = createHash(path.includes('/sha512/') ? 'sha512' : 'sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk)
    expect(hash.digest('hex')).toBe(basename(path))
  }
}

/** Every blob of the catalog is a file of its size. */
export async function expectTrueRows(dir: string): Promise<void> {
  const database = new Database(join(dir, 'catalog.db'), { readonly: true })
  try {
    const rows = database
      .prepare<[], { digest: string; size: number }>(
        'SELECT digest, size FROM blobs WHERE dead = 0',
      )
      .all()
    for (const { digest, size } of rows) {
      const [algorithm = '', hex = ''] = digest.split(':')
      const file = await stat(join(dir, 'blobs', algorithm, hex.slice(0, 2), hex))
      expect([digest, file.size]).toEqual([digest, size])
    }
  } finally {
    database.close()
  }
}

async function expectWhole(mirror: TestMirror, path: string): Promise<void> {
  const response = await mirror.fetch(path)
  expect([path, response.status]).toEqual([path, 200])
  const bytes = new Uint8Array(await response.arrayBuffer())
  const digest = response.headers.get('docker-content-digest')
  const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (digest?.startsWith('sha256:') === true) expect([path, found]).toEqual([path, digest])
}

async function filesBelow(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}
