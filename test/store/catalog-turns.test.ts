import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const APP = { upstream: 'docker.io', name: 'library/app' } as Repository
const OTHER = { upstream: 'quay.io', name: 'org/other' } as Repository
const TAG = 'v1' as Tag

const described = (text: string, mediaType = 'application/octet-stream'): Descriptor => ({
  digest: digestOf(Buffer.from(text)),
  mediaType,
  size: text.length,
})
const INDEX = described('an index', OCI_INDEX)
const MANIFEST = described('a manifest', OCI_MANIFEST)
const LAYER = described('a layer')
const LOOSE = described('of nobody')

let catalog: SqliteCatalog

beforeEach(async () => {
  const dir = await makeTempDir()
  catalog = await SqliteCatalog.open(join(dir.path, 'catalog.db'))
  onTestFinished(async () => {
    await catalog.close()
    await dir.remove()
  })
  for (const { digest, size } of [INDEX, MANIFEST, LAYER])
    await catalog.landed(APP, digest, size, 1)
  await catalog.landed(OTHER, LOOSE.digest, LOOSE.size, 2)
  await catalog.record(APP, INDEX, [MANIFEST], { tag: TAG, checkedAt: 1 })
  await catalog.record(APP, MANIFEST, [LAYER])
  // The layer is in another image too, which nobody keeps.
  await catalog.record(OTHER, LOOSE, [LAYER])
})

const inventory = () => catalog.inventory(() => {})
const evictable = () => Array.fromAsync(catalog.evictionOrder(), ({ digest }) => digest)

/** Turns that requests would have had. */
async function countTurns(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  const count = () => {
    turns += 1
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await work()
  clearImmediate(timer)
  return turns
}

describe('what is kept', () => {
  it('is all that a pin needs, however deep, until it is unpinned', async () => {
    await inventory().pin(APP, INDEX.digest, 1)
    expect(await evictable()).toEqual([LOOSE.digest])
    await inventory().unpin(APP, INDEX.digest)
    expect(new Set(await evictable())).toEqual(
      new Set([LOOSE, INDEX, MANIFEST, LAYER].map(({ digest }) => digest)),
    )
  })

  it('is all that a hold needs, until it is released', async () => {
    await inventory().hold(APP, TAG, INDEX, 1)
    expect(await evictable()).toEqual([LOOSE.digest])
    await inventory().release(APP, TAG)
    expect(await evictable()).toHaveLength(4)
  })

  it('includes what a pinned manifest turns out to name when it lands later', async () => {
    await inventory().pin(APP, INDEX.digest, 1)
    const late = described('a late layer')
    await catalog.landed(APP, late.digest, late.size, 1)
    expect(await evictable()).toContain(late.digest)
    await catalog.record(APP, MANIFEST, [LAYER, late])
    expect(await evictable()).toEqual([LOOSE.digest])
  })
})

describe('lists of what is here', () => {
  const MANY = 2_500

  it('finds every blob that nothing names, with turns for requests in between', async () => {
    for (let number = 0; number < MANY; number += 1) {
      await catalog.adopt(digestOf(Buffer.from(`orphan ${number}`)), 1, 1)
    }
    let found = 0
    const turns = await countTurns(async () => {
      found = (await inventory().unreferenced(10 ** 15)).length
    })
    expect(found).toBe(MANY)
    expect(turns).toBeGreaterThan(0)
  })

  it('counts each blob of a large repository once', async () => {
    const layers = Array.from({ length: MANY }, (_, number) => described(`layer ${number}`))
    for (const { digest, size } of layers) await catalog.landed(APP, digest, size, 1)
    await catalog.record(APP, MANIFEST, layers)
    await catalog.record(APP, described('another manifest', OCI_MANIFEST), layers)
    const bytes = [INDEX, MANIFEST, LAYER, ...layers].reduce((sum, { size }) => sum + size, 0)
    expect(await inventory().repositories('*app*', '', 10)).toEqual([
      { repository: APP, tags: 1, manifests: 3, blobs: MANY + 3, bytes },
    ])
  })
})
