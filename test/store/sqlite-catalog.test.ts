import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { Repository } from '../../src/oci/reference.ts'
import type { Tag } from '../../src/oci/reference.ts'
import { CachedCatalog } from '../../src/store/cached-catalog.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { catalogConformance } from '../conformance/catalog.ts'
import { makeTempDir } from '../support/temp-dir.ts'

for (const [name, wrap] of [
  ['SqliteCatalog', (catalog: SqliteCatalog) => catalog],
  ['CachedCatalog', (catalog: SqliteCatalog) => new CachedCatalog(catalog)],
] as const) {
  catalogConformance(name, async () => {
    const dir = await makeTempDir()
    const path = join(dir.path, 'catalog.db')
    let sqlite = await SqliteCatalog.open(path)
    return {
      catalog: wrap(sqlite),
      async reopen() {
        await sqlite.close()
        sqlite = await SqliteCatalog.open(path)
        return wrap(sqlite)
      },
      async dispose() {
        await sqlite.close()
        await dir.remove()
      },
    }
  })
}

describe('SqliteCatalog', () => {
  it('refuses a file of another version, and says what to do', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'catalog.db')
    const newer = new Database(path)
    newer.pragma('user_version = 99')
    newer.close()
    await expect(SqliteCatalog.open(path)).rejects.toThrow(
      /has version 99, this program reads 1: use the version/,
    )
  })

  it('adds nothing for repositories that were only asked for', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'catalog.db')
    const catalog = await SqliteCatalog.open(path)
    for (let n = 0; n < 50; n += 1) {
      await catalog.resolve(
        { upstream: 'docker.io', name: `library/no-${n}` } as Repository,
        '1' as Tag,
      )
    }
    await catalog.close()
    const database = new Database(path, { readonly: true })
    expect(database.prepare('SELECT count(*) FROM repositories').pluck().get()).toBe(0)
    database.close()
  })
})
