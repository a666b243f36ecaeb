import { copyFile, mkdir, open, readdir, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { Log } from '../../src/core/log.ts'
import { StartError } from '../../src/core/start-error.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { CatalogBackup } from '../../src/store/catalog-backup.ts'
import { openCatalog } from '../../src/store/catalog-recovery.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const APP = { upstream: 'docker.io', name: 'library/app' } as Repository
const TAG = 'latest' as Tag
const DIGEST = digestOf(Buffer.from('manifest'))

describe('openCatalog', () => {
  it('says nothing at a first start', async () => {
    await using dir = await makeTempDir()
    const { isRestored, errors, tag } = await reopen(dir.path)
    expect({ isRestored, errors, tag }).toEqual({ isRestored: false, errors: [], tag: undefined })
  })

  it('says nothing where nothing is wrong', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    const { isRestored, errors, tag } = await reopen(dir.path)
    expect({ isRestored, errors, tag }).toEqual({ isRestored: false, errors: [], tag: DIGEST })
  })

  it.each<[string, (path: string) => Promise<void>]>([
    ['is gone', (path) => unlink(path)],
    ['was cut to nothing', (path) => truncate(path, 0)],
    ['has lost its header', (path) => writeFile(path, 'x'.repeat(100), { flag: 'r+' })],
    ['has lost its second half', (path) => truncate(path, 16_384)],
    ['has a page of noise', (path) => scribble(path, 3)],
    ['was replaced by a database without tables', (path) => replaceByEmpty(path)],
  ])('restores the backup of a catalog that %s, loudly', async (_, damage) => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    await damage(join(dir.path, 'catalog.db'))
    const { isRestored, errors, tag } = await reopen(dir.path)
    expect({ isRestored, tag }).toEqual({ isRestored: true, tag: DIGEST })
    expect(errors).toEqual(['found the catalog damaged and restored its backup'])
    const again = await reopen(dir.path)
    expect(again).toMatchObject({ isRestored: false, tag: DIGEST, errors: [] })
    expect(await readdir(dir.path)).toContain('catalog.backup')
  })

  it('keeps what was damaged, with its log, under a name that says when', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    await truncate(join(dir.path, 'catalog.db'), 0)
    await writeFile(join(dir.path, 'catalog.db-wal'), 'left by a crash')
    await reopen(dir.path)
    const aside = (await readdir(dir.path)).filter((name) => name.includes('damaged'))
    expect(aside).toHaveLength(2)
    for (const name of aside) {
      expect(name).toMatch(/^catalog\.db\.damaged-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z(-wal)?$/)
    }
  })

  it('restores what an earlier start was killed while restoring', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    await unlink(join(dir.path, 'catalog.db'))
    await writeFile(join(dir.path, 'catalog.db.restoring'), 'the first half')
    expect(await reopen(dir.path)).toMatchObject({ isRestored: true, tag: DIGEST })
    expect(await readdir(dir.path)).not.toContain('catalog.db.restoring')
  })

  it('trusts no file after a restore, even if it was killed right after it and the machine went down', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    await truncate(join(dir.path, 'catalog.db'), 0)
    expect(await reopen(dir.path)).toMatchObject({ isRestored: true })
    expect(await reopen(dir.path)).toMatchObject({ isRestored: false })
    const catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    expect(catalog.durability.enterBoot('the next boot')).toBe(101)
    await catalog.close()
  })

  it('reads no file again after a restore while the machine is up, and syncs all', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    await truncate(join(dir.path, 'catalog.db'), 0)
    expect(await reopen(dir.path)).toMatchObject({ isRestored: true })
    const catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    expect(catalog.durability.enterBoot('this boot')).toBe(0)
    expect(catalog.durability.pending('', 1_000)).toHaveLength(101)
    await catalog.close()
  })

  it('sets a damaged catalog aside and begins a new one where there is nothing else', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'catalog.db'), 'garbage garbage garbage')
    const { isRestored, errors, tag } = await reopen(dir.path)
    expect({ isRestored, tag }).toEqual({ isRestored: false, tag: undefined })
    expect(errors).toEqual([
      'found the catalog damaged and began a new one: no backup could be used',
    ])
    expect((await readdir(dir.path)).join(' ')).toContain('catalog.db.damaged-')
    expect((await reopen(dir.path)).errors).toEqual([])
  })

  it('says nothing of a catalog whose first start was killed', async () => {
    await using dir = await makeTempDir()
    await writeFile(join(dir.path, 'catalog.db'), '')
    expect((await reopen(dir.path)).errors).toEqual([])
  })

  it('begins a new catalog where the backup is damaged too, and keeps that', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    await scribble(join(dir.path, 'catalog.db'), 2)
    await scribble(join(dir.path, 'catalog.backup'), 2)
    const { isRestored, errors, tag } = await reopen(dir.path)
    expect({ isRestored, tag }).toEqual({ isRestored: false, tag: undefined })
    expect(errors).toEqual([
      'found the backup of the catalog damaged',
      'found the catalog damaged and began a new one: no backup could be used',
    ])
    const names = (await readdir(dir.path)).join(' ')
    expect(names).toContain('catalog.db.damaged-')
    expect(names).toContain('catalog.backup.damaged-')
  })

  it('says so when there are blobs, but neither a catalog nor a backup', async () => {
    await using dir = await makeTempDir()
    await mkdir(join(dir.path, 'blobs/sha256/ab'), { recursive: true })
    const { isRestored, errors } = await reopen(dir.path)
    expect(isRestored).toBe(false)
    expect(errors).toEqual([
      'found the catalog damaged and began a new one: no backup could be used',
    ])
  })

  it('refuses the catalog of a newer version, and leaves everything as it is', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    const database = new Database(join(dir.path, 'catalog.db'))
    database.pragma('user_version = 9999')
    database.close()
    const before = await readdir(dir.path)
    await expect(reopen(dir.path)).rejects.toThrow(/has version 9999, this program reads \d+: use/)
    expect(await readdir(dir.path)).toEqual(before)
  })

  it('refuses with a clear message what cannot be opened as a file', async () => {
    await using dir = await makeTempDir()
    await mkdir(join(dir.path, 'catalog.db'))
    await mkdir(join(dir.path, 'blobs/sha256'), { recursive: true })
    await expect(reopen(dir.path)).rejects.toThrow(StartError)
    await expect(reopen(dir.path)).rejects.toThrow(/cannot use the catalog .*has to be writable/)
  })
})

describe('CatalogBackup', () => {
  it('is made only when something has changed', async () => {
    await using dir = await makeTempDir()
    const catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    let copies = 0
    const counted = {
      changes: () => catalog.changes(),
      copyTo: (path: string) => {
        copies += 1
        return catalog.copyTo(path)
      },
    }
    const backup = new CatalogBackup(counted, layoutOf(dir.path))
    await backup.run()
    await backup.run()
    expect(copies).toBe(1)
    catalog.touch(DIGEST, 5_000)
    await backup.run()
    expect(copies).toBe(1)
    await catalog.landed(APP, DIGEST, 10, 1_000)
    await Promise.all([backup.run(), backup.run()])
    expect(copies).toBe(2)
    await catalog.close()
  })

  it('holds what was committed while it was being made, or not, but never half of it', async () => {
    await using dir = await makeTempDir()
    const catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    for (let n = 0; n < 20_000; n += 1) await catalog.landed(APP, numbered(n), 10, 1_000)
    const running = new CatalogBackup(catalog, layoutOf(dir.path)).run()
    let written = 20_000
    const done = new AbortController()
    void running.then(() => done.abort())
    while (!done.signal.aborted) {
      for (let n = 0; n < 10; n += 1) await catalog.landed(APP, numbered(written++), 10, 1_000)
      await new Promise(setImmediate)
    }
    await catalog.close()
    const database = new Database(join(dir.path, 'catalog.backup'), { readonly: true })
    expect(database.pragma('quick_check', { simple: true })).toBe('ok')
    const count = (table: string) => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get()
    expect(count('blobs')).toBe(count('links'))
    expect(count('blobs')).toBeGreaterThanOrEqual(20_000)
    database.close()
  })
})

describe('a catalog that is damaged while the mirror runs', () => {
  it("takes no good backup's place, and is restored from that at the next start", async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    const layout = layoutOf(dir.path)
    const catalog = await SqliteCatalog.open(layout.catalog)
    await catalog.landed(APP, numbered(200), 10, 1_000)
    const copyTo = async (path: string) => {
      await catalog.copyTo(path)
      await scribble(path, 3)
    }
    const damaged = { changes: () => 1, copyTo }
    await expect(new CatalogBackup(damaged, layout).run()).rejects.toThrow(
      /catalog\.db is damaged \(.+\): restart the mirror, which then restores its last good backup/,
    )
    await catalog.close()
    await scribble(layout.catalog, 3)
    expect(await readdir(dir.path)).toContain('catalog.suspect')
    const { isRestored, tag } = await reopen(dir.path)
    expect({ isRestored, tag }).toEqual({ isRestored: true, tag: DIGEST })
    expect(await readdir(dir.path)).not.toContain('catalog.suspect')
  })

  it('is looked at as a whole after a damaged copy of it, and kept if only that was damaged', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    const layout = layoutOf(dir.path)
    await writeFile(layout.suspect, 'a copy')
    const { isRestored, errors, tag } = await reopen(dir.path)
    expect({ isRestored, errors, tag }).toEqual({ isRestored: false, errors: [], tag: DIGEST })
    expect(await readdir(dir.path)).not.toContain('catalog.suspect')
  })

  it('leaves nothing beside the backup', async () => {
    await using dir = await makeTempDir()
    await fill(dir.path)
    const names = await readdir(dir.path)
    expect(names.filter((name) => name.startsWith('catalog.backup'))).toEqual(['catalog.backup'])
  })
})

/** A catalog with one tag, its backup, and a clean end. */
async function fill(root: string): Promise<void> {
  const layout = layoutOf(root)
  const catalog = await SqliteCatalog.open(layout.catalog)
  const manifest = { mediaType: OCI_MANIFEST, digest: DIGEST, size: 8 }
  catalog.durability.enterBoot('this boot')
  await catalog.landed(APP, DIGEST, 8, 1_000)
  for (let n = 0; n < 100; n += 1) await catalog.landed(APP, numbered(n), 10, 1_000)
  await catalog.record(APP, manifest, [], { tag: TAG, checkedAt: 1_000 })
  catalog.durability.settle(catalog.durability.pending('', 1_000))
  await new CatalogBackup(catalog, layout).run()
  await catalog.close()
}

async function reopen(root: string): Promise<{
  readonly isRestored: boolean
  readonly tag: Digest | undefined
  readonly errors: readonly string[]
}> {
  const errors: string[] = []
  const quiet = () => {}
  const log: Log = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (_, message) => errors.push(message),
  }
  const { catalog, isRestored } = await openCatalog({
    layout: layoutOf(root),
    clock: systemClock,
    log,
  })
  const tag = (await catalog.resolve(APP, TAG))?.manifest.digest
  await catalog.close()
  return { isRestored, tag, errors }
}

function numbered(n: number): Digest {
  return `sha256:${n.toString(16).padStart(64, '0')}` as Digest
}

/** Noise in place of the page, counted from 1. */
async function scribble(path: string, page: number): Promise<void> {
  const database = new Database(path)
  const size = Number(database.pragma('page_size', { simple: true }))
  const first = 'SELECT rootpage FROM sqlite_schema WHERE name = ?'
  const root = Number(database.prepare(first).pluck().get('blobs'))
  database.close()
  for (const number of [page, root]) {
    const file = await open(path, 'r+')
    await file.write(Buffer.alloc(size, 0xa5), 0, size, (number - 1) * size)
    await file.close()
  }
}

async function replaceByEmpty(path: string): Promise<void> {
  const empty = `${path}.empty`
  const database = new Database(empty)
  database.exec('VACUUM')
  database.pragma('application_id = 7')
  database.close()
  await copyFile(empty, path)
  await unlink(empty)
}
