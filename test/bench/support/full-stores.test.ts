import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { knowsStoreOf, makeFullStore } from '../../../bench/support/full-stores.ts'
import { makeTempDir } from '../../support/temp-dir.ts'

/** More than are made at a time. */
const BLOBS = 600

describe('a full store', () => {
  it('is known for every mirror but one that others build', () => {
    const names = ['oci-mirror', 'distribution-2', 'distribution-3', 'nginx', 'zot']
    expect(names.filter(knowsStoreOf)).toEqual(names.slice(0, -1))
  })

  it('of ours has a row for each file, and nothing in it that a start would have to read', async () => {
    await using temp = await makeTempDir()
    const { path: dir } = temp
    await makeFullStore('oci-mirror', { dir, shared: dir, blobs: BLOBS })
    expect(await filesOf(join(dir, 'data/blobs'), undefined)).toHaveLength(BLOBS)
    const database = new Database(join(dir, 'data/catalog.db'))
    const rows = database
      .prepare('SELECT durability, count(*) AS count FROM blobs GROUP BY 1')
      .all()
    expect(rows).toEqual([{ durability: 1, count: BLOBS }])
    database.close()
  })

  it('is made once for both releases of distribution, as they lay it out', async () => {
    await using temp = await makeTempDir()
    const shared = join(temp.path, 'shared')
    const [two, three] = [join(temp.path, 'two'), join(temp.path, 'three')]
    for (const dir of [shared, two, three]) await mkdir(dir)
    await makeFullStore('distribution-2', { dir: two, shared, blobs: BLOBS })
    await makeFullStore('distribution-3', { dir: three, shared, blobs: BLOBS })
    const root = join(three, 'storage/docker/registry/v2')
    expect(await stat(root)).toMatchObject({
      ino: (await stat(two + root.slice(three.length))).ino,
    })
    const data = await filesOf(join(root, 'blobs/sha256'), 'data')
    expect(data).toHaveLength(BLOBS)
    for (const path of data.slice(0, 10)) {
      const hex = createHash('sha256')
        .update(await readFile(path))
        .digest('hex')
      expect(path.endsWith(join(hex.slice(0, 2), hex, 'data'))).toBe(true)
    }
    expect(await filesOf(join(root, 'repositories'), 'link')).toHaveLength(BLOBS)
    const schedule: unknown = JSON.parse(
      await readFile(join(three, 'storage/scheduler-state.json'), 'utf8'),
    )
    expect(Object.keys(schedule as object)).toHaveLength(BLOBS)
  })

  it('has the names of nginx, below the folders of their last characters', async () => {
    await using temp = await makeTempDir()
    const { path: dir } = temp
    await makeFullStore('nginx', { dir, shared: dir, blobs: BLOBS })
    const files = await filesOf(join(dir, 'cache'), undefined)
    expect(files).toHaveLength(BLOBS)
    for (const path of files) {
      const name = basename(path)
      expect(dirname(path).slice(-4)).toBe(`${name.slice(-1)}/${name.slice(-3, -1)}`)
    }
  })
})

/** Files of that name, or all of them, with their paths. */
async function filesOf(root: string, name: string | undefined): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && (name === undefined || entry.name === name))
    .map((entry) => join(entry.parentPath, entry.name))
}
