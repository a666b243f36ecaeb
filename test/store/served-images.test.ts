import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import Database from 'better-sqlite3'
import type { Inventory } from '../../src/core/maintenance/inventory.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { VERSION_1 } from './catalog-version-1.ts'

const HUB = { upstream: 'docker.io', name: 'library/app' } as Repository
const OTHER = { upstream: 'quay.io', name: 'library/app' } as Repository
const DAY = 24 * 60 * 60_000
const [INDEX, CHILD, NEXT, SIGNATURE] = ['index', 'child', 'next', 'signature'].map((text) =>
  digestOf(Buffer.from(text)),
) as [Digest, Digest, Digest, Digest]
const described = (digest: Digest, mediaType = OCI_MANIFEST) => ({ digest, mediaType, size: 10 })
const tag = (name: string) => ({ kind: 'tag', tag: name as Tag }) as const
const byDigest = (digest: Digest) => ({ kind: 'digest', digest }) as const

describe('what clients have been given', () => {
  let dir: TempDir
  let catalog: SqliteCatalog
  let inventory: Inventory

  beforeEach(async () => {
    dir = await makeTempDir()
    await open()
    const index = described(INDEX, OCI_INDEX)
    await catalog.record(HUB, index, [described(CHILD)], { tag: '1' as Tag, checkedAt: DAY })
    await catalog.record(HUB, described(CHILD), [])
  })
  afterEach(async () => {
    await catalog.close()
    await dir.remove()
  })

  async function open(): Promise<void> {
    catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
    inventory = catalog.inventory(() => {})
  }

  async function served(since: number): Promise<readonly string[]> {
    return (await inventory.served(since)).map(
      ({ repository: { upstream }, ...name }) =>
        `${upstream} ${'tag' in name ? name.tag : name.digest}`,
    )
  }

  it('is a tag, whatever of it they asked for next, and outlives a restart', async () => {
    catalog.served(HUB, tag('1'), 2 * DAY)
    catalog.served(HUB, byDigest(INDEX), 2 * DAY)
    catalog.served(HUB, byDigest(CHILD), 2 * DAY + 1)
    expect(await served(2 * DAY)).toEqual(['docker.io 1'])
    expect(await served(2 * DAY + 1)).toEqual([])
    await catalog.close()
    await open()
    expect(await served(2 * DAY)).toEqual(['docker.io 1'])
  })

  it('is not what was used without a client', async () => {
    await catalog.landed(HUB, INDEX, 10, 5 * DAY)
    catalog.touch(INDEX, 6 * DAY)
    expect(await served(1)).toEqual([])
  })

  it('is known by the tag that was asked for, or by each where nobody knows', async () => {
    const index = described(INDEX, OCI_INDEX)
    await catalog.record(HUB, index, [], { tag: 'latest' as Tag, checkedAt: DAY })
    catalog.served(HUB, byDigest(INDEX), 2 * DAY)
    expect(await served(2 * DAY)).toEqual(['docker.io 1', 'docker.io latest'])
    catalog.served(HUB, tag('latest'), 2 * DAY)
    expect(await served(2 * DAY)).toEqual(['docker.io latest'])
  })

  it('is a digest where no tag names it, an image of an index that nobody asked for included', async () => {
    await catalog.record(OTHER, described(NEXT), [])
    catalog.served(OTHER, byDigest(NEXT), 2 * DAY)
    catalog.served(HUB, byDigest(CHILD), 2 * DAY)
    expect(await served(2 * DAY)).toEqual([`docker.io ${CHILD}`, `quay.io ${NEXT}`])
  })

  it('leaves out signatures, which come with what they sign', async () => {
    await catalog.record(HUB, { ...described(SIGNATURE), subject: INDEX }, [])
    await catalog.landed(HUB, SIGNATURE, 10, DAY)
    catalog.served(HUB, tag('1'), 2 * DAY)
    catalog.served(HUB, byDigest(SIGNATURE), 2 * DAY)
    expect(await served(2 * DAY)).toEqual(['docker.io 1'])
  })

  it('is the tag alone after it has moved, unless somebody still asks for what it was', async () => {
    catalog.served(HUB, byDigest(INDEX), 2 * DAY)
    await catalog.record(HUB, described(NEXT), [], { tag: '1' as Tag, checkedAt: 3 * DAY })
    catalog.served(HUB, tag('1'), 3 * DAY)
    expect(await served(DAY)).toEqual(['docker.io 1'])
    catalog.served(HUB, byDigest(INDEX), 4 * DAY)
    expect(await served(DAY)).toEqual(['docker.io 1', `docker.io ${INDEX}`])
  })

  it('is noted for a tag whose manifest was still on its way', async () => {
    vi.useFakeTimers()
    await catalog.close()
    await open()
    try {
      catalog.served(OTHER, tag('new'), 2 * DAY)
      vi.advanceTimersByTime(10_000)
      await catalog.record(OTHER, described(NEXT), [], { tag: 'new' as Tag, checkedAt: DAY })
      vi.advanceTimersByTime(10_000)
      catalog.served(OTHER, tag('never'), 2 * DAY)
      vi.advanceTimersByTime(60_000)
      await catalog.record(OTHER, described(NEXT), [], { tag: 'never' as Tag, checkedAt: DAY })
    } finally {
      vi.useRealTimers()
    }
    expect(await served(2 * DAY)).toEqual(['quay.io new'])
  })

  it('is not counted as a change, which would have the catalog copied', async () => {
    const before = catalog.changes()
    catalog.served(HUB, tag('1'), 2 * DAY)
    expect(await served(2 * DAY)).toEqual(['docker.io 1'])
    expect(catalog.changes()).toBe(before)
  })

  it('is, of what was stored by an earlier version, what was used', async () => {
    const path = join(dir.path, 'old.db')
    const old = new Database(path)
    old.exec(VERSION_1)
    old.exec(`
      INSERT INTO repositories (id, upstream, name) VALUES (1, 'docker.io', 'library/old');
      INSERT INTO tags (repository, tag, digest, checked_at) VALUES (1, 'latest', '${NEXT}', 1000);
      INSERT INTO manifests (repository, digest, media_type, size) VALUES (1, '${NEXT}', '${OCI_MANIFEST}', 10);
      INSERT INTO blobs (digest, size, used_at) VALUES ('${NEXT}', 10, ${2 * DAY});
    `)
    old.close()
    const migrated = await SqliteCatalog.open(path)
    const found = await migrated.inventory(() => {}).served(2 * DAY)
    await migrated.close()
    expect(found).toEqual([
      { repository: { upstream: 'docker.io', name: 'library/old' }, tag: 'latest' },
    ])
  })

  it('comes in pages', async () => {
    for (let n = 1000; n < 2200; n += 1) {
      const name = `t${n}` as Tag
      await catalog.record(OTHER, described(NEXT), [], { tag: name, checkedAt: DAY })
      catalog.served(OTHER, { kind: 'tag', tag: name }, 2 * DAY)
    }
    const all = await served(2 * DAY)
    expect(all).toHaveLength(1200)
    expect([all[0], all.at(-1)]).toEqual(['quay.io t1000', 'quay.io t2199'])
  })
})
