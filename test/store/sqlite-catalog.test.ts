import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { CachedCatalog } from '../../src/store/cached-catalog.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { catalogConformance } from '../conformance/catalog.ts'
import { importCatalogConformance } from '../conformance/import-catalog.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { VERSION_1 } from './catalog-version-1.ts'

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

importCatalogConformance('SqliteImports', async () => {
  const dir = await makeTempDir()
  const sqlite = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
  const catalog = new CachedCatalog(sqlite)
  const inventory = sqlite.inventory((repository, tag) => catalog.forgetTag(repository, tag))
  return {
    catalog,
    imports: inventory.imports,
    hold: (repository, tag, manifest) => inventory.hold(repository, tag, manifest, 1),
    async dispose() {
      await sqlite.close()
      await dir.remove()
    },
  }
})

describe('SqliteCatalog', () => {
  it('refuses a file of another version, and says what to do', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'catalog.db')
    const newer = new Database(path)
    newer.pragma('user_version = 99')
    newer.close()
    await expect(SqliteCatalog.open(path)).rejects.toThrow(
      /has version 99, this program reads \d: use the version/,
    )
  })

  it('takes over a file of version 1 with all that is in it', async () => {
    await using dir = await makeTempDir()
    const path = join(dir.path, 'catalog.db')
    const old = new Database(path)
    old.exec(VERSION_1)
    const digest = digestOf(Buffer.from('a manifest'))
    old.exec(`
      INSERT INTO repositories VALUES (7, 'docker.io', 'library/app');
      INSERT INTO tags VALUES (7, 'latest', '${digest}', 1000);
      INSERT INTO manifests VALUES (7, '${digest}', '${OCI_MANIFEST}', 10);
      INSERT INTO links VALUES ('${digest}', 7, 1);
      INSERT INTO blobs VALUES ('${digest}', 10, 1000, 0);
    `)
    old.close()
    const app = { upstream: 'docker.io', name: 'library/app' } as Repository
    const manifest = { mediaType: OCI_MANIFEST, digest, size: 10 }
    const list = { referrers: [manifest], checkedAt: 2000, source: 'tag' } as const
    let catalog = await SqliteCatalog.open(path)
    await catalog.keepReferrerList(app, digest, list)
    await catalog.close()
    catalog = await SqliteCatalog.open(path)
    expect(await catalog.resolve(app, 'latest' as Tag)).toMatchObject({ manifest, checkedAt: 1000 })
    expect(await catalog.holding(app, digest)).toMatchObject({ standing: 'proved', storedSize: 10 })
    expect(await catalog.repositories('', 10)).toEqual([app])
    expect(await catalog.referrerList(app, digest)).toEqual(list)
    const history = await catalog.inventory(() => {}).history(app)
    expect(history).toEqual([{ tag: 'latest', digest, at: 1000 }])
    await catalog.close()
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
