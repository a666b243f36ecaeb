import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { configure, migrate } from '../../src/store/catalog-schema.ts'
import { writeForGood } from '../../src/store/for-good.ts'
import { SqliteInventory } from '../../src/store/sqlite-inventory.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const APP = { upstream: 'docker.io', name: 'library/app' } as Repository
const TAG = '1' as Tag
const DIGEST = digestOf(Buffer.from('manifest'))
const MANIFEST = { mediaType: OCI_MANIFEST, digest: DIGEST, size: 8 }

/** A catalog, and what is asked of SQLite from now on. */
async function watched(dir: string): Promise<{ database: Database.Database; said: string[] }> {
  const said: string[] = []
  const verbose = (statement: unknown) => said.push(String(statement))
  const database = new Database(`${dir}/catalog.db`, { verbose })
  configure(database)
  migrate(database, 'catalog.db')
  database.exec("INSERT INTO repositories (upstream, name) VALUES ('docker.io', 'library/app')")
  said.length = 0
  return { database, said }
}

describe('what a person is told is done', () => {
  it.each<[string, (inventory: SqliteInventory) => Promise<unknown>]>([
    ['pin', (inventory) => inventory.pin(APP, DIGEST, 1)],
    ['unpin', (inventory) => inventory.unpin(APP, DIGEST)],
    ['hold', (inventory) => inventory.hold(APP, TAG, MANIFEST, 1)],
    ['release', (inventory) => inventory.release(APP, TAG)],
  ])('is on disk by then: %s', async (name, act) => {
    await using dir = await makeTempDir()
    const { database, said } = await watched(dir.path)
    const inventory = new SqliteInventory(database, () => {}, { write: () => {} })
    if (name === 'unpin') await inventory.pin(APP, DIGEST, 1)
    if (name === 'release') await inventory.hold(APP, TAG, MANIFEST, 1)
    said.length = 0
    await act(inventory)
    expect(said.filter((statement) => /synchronous|BEGIN|COMMIT/.test(statement))).toEqual([
      'PRAGMA synchronous = FULL',
      'BEGIN',
      'COMMIT',
      'PRAGMA synchronous = NORMAL',
    ])
    const writes = said.filter((statement) => /^\s*(INSERT|UPDATE|DELETE)/.test(statement))
    expect(writes.length).toBeGreaterThan(0)
    expect(said.indexOf('BEGIN')).toBeLessThan(said.indexOf(writes[0] ?? ''))
    expect(said.indexOf('COMMIT')).toBeGreaterThan(said.indexOf(writes.at(-1) ?? ''))
    database.close()
  })

  it('costs nobody else a wait, also where it fails', async () => {
    await using dir = await makeTempDir()
    const { database } = await watched(dir.path)
    const fail = () => {
      throw new Error('no')
    }
    expect(() => writeForGood(database, fail)).toThrow('no')
    expect(database.pragma('synchronous', { simple: true })).toBe(1)
    database.close()
  })
})
