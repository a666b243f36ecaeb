import { rm, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/system-clock.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { ManualClock } from '../support/clock.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { failStatements } from '../support/failing-sqlite.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const SIZE = 100_000
const [A, B] = [buildBlob('a', SIZE), buildBlob('b', SIZE)] as const
const IMAGE = buildImage({ layers: 1, layerBytes: SIZE })
const [LAYER = IMAGE.config] = IMAGE.layers
const HOUR = 60 * 60_000
const TAG = '/v2/library/app/manifests/1'
const { signal } = new AbortController()
const pathOf = ({ digest }: Pick<typeof A, 'digest'>) => `/v2/library/app/blobs/${digest}`

let dir: TempDir
let registry: FakeRegistry
let clock: ManualClock
let disk: FailingFs

beforeEach(async () => {
  dir = await makeTempDir()
  clock = new ManualClock()
  disk = new FailingFs()
  registry = await FakeRegistry.start()
  for (const blob of [A, B]) registry.addBlob('library/app', blob)
  registry.add('library/app', IMAGE, '1')
})
afterEach(async () => {
  await registry.close()
  await dir.remove()
})

function start(options: Partial<TestMirrorOptions> = {}): Promise<TestMirror> {
  const upstreams = { 'docker.io': { registry } }
  // The sweep rests between its pages, for real and shortly.
  const working = { ...systemClock, now: () => clock.now() }
  return TestMirror.start({ upstreams, clock: working, fs: disk.fs, ...options }, dir)
}

async function pull(mirror: TestMirror, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await clock.advance(1000)
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    await response.arrayBuffer()
    await mirror.settle()
  }
}

const errors = ({ logs }: TestMirror) =>
  logs.filter(({ level }) => level === 'error').map(({ message }) => message)

describe('a file that the disk does not let go of', () => {
  it('is a blob as before, and is served', async () => {
    await using mirror = await start()
    await pull(mirror, pathOf(A))
    disk.fail({ operation: 'unlink', path: 'blobs', code: 'EIO', times: 1 })
    await expect(mirror.mirror.control.evict(A.digest)).rejects.toThrow(/EIO/)
    registry.reset()
    await pull(mirror, pathOf(A))
    expect(registry.count()).toBe(0)
    expect(await mirror.catalog.tombstones()).toEqual([])
    await expectIntact(mirror, { retry: [pathOf(A)] })
  })

  it('is not in the way of those that can go', async () => {
    await using mirror = await start({ limits: { maxSize: 2 * SIZE, minFree: { bytes: 0 } } })
    const more = ['c', 'd'].map((seed) => buildBlob(seed, SIZE))
    for (const blob of more) registry.addBlob('library/app', blob)
    await pull(mirror, pathOf(A), pathOf(B))
    const stuck = disk.fail({ operation: 'unlink', path: A.digest.slice(7), code: 'EIO' })
    // Who met it goes without being stored; whoever comes next finds another one to evict.
    for (const blob of more) await pull(mirror, pathOf(blob))
    const stored = (await Array.fromAsync(mirror.store.list())).map(({ digest }) => digest)
    expect(stored).toContain(more.at(-1)?.digest)
    expect(stuck.hits).toBe(1)
    stuck.remove()
    await expectIntact(mirror, { retry: [pathOf(A), pathOf(B)] })
  })

  it('prevents no start, and no other eviction from being finished', async () => {
    const earlier = await start()
    await pull(earlier, pathOf(A), pathOf(B))
    for (const { digest } of [A, B]) await earlier.catalog.entomb(digest)
    await earlier.close()
    disk.fail({ operation: 'unlink', path: A.digest.slice(7), code: 'EIO', times: 1 })
    await using mirror = await start()
    expect(errors(mirror)).toEqual(['failed to finish evicting blob'])
    expect(await mirror.catalog.tombstones()).toEqual([])
    expect((await Array.fromAsync(mirror.store.list())).map(({ digest }) => digest)).toEqual([
      A.digest,
    ])
    await expectIntact(mirror, { retry: [pathOf(A), pathOf(B)] })
  })
})

describe('a restored catalog', () => {
  it('finishes no eviction of its own time: what landed since is looked at, and stays', async () => {
    const earlier = await start()
    await pull(earlier, pathOf(A), pathOf(B))
    for (const { digest } of [A, B]) await earlier.catalog.entomb(digest)
    await earlier.upkeep.backup.run()
    await earlier.mirror.recover()
    await pull(earlier, pathOf(A))
    await earlier.close()
    await writeFile(layoutOf(dir.path).catalog, 'no database')
    await using mirror = await start()
    registry.reset()
    await pull(mirror, pathOf(A))
    expect(registry.count()).toBe(0)
    await mirror.upkeep.setRight(signal)
    expect(await mirror.catalog.totals()).toEqual({ blobs: 1, bytes: SIZE })
    await expectIntact(mirror, { retry: [pathOf(A), pathOf(B)] })
  })
})

describe('a lost catalog', () => {
  const blobs = [IMAGE.config, LAYER].map(pathOf)

  async function lose(): Promise<void> {
    const earlier = await start()
    await pull(earlier, TAG, ...blobs)
    await earlier.close()
    await rm(layoutOf(dir.path).catalog)
  }

  it('costs no blob: what is adopted is not collected for a month', async () => {
    await lose()
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    await clock.advance(29 * 24 * HOUR)
    expect((await mirror.maintenance.gc(false)).freed.blobs).toBe(0)
    registry.reset()
    await pull(mirror, TAG, ...blobs)
    // The bytes were here: only the right to them was asked for.
    expect(registry.bytesSent('blob')).toBe(blobs.length)
    await clock.advance(2 * 24 * HOUR)
    expect((await mirror.maintenance.gc(false)).freed.blobs).toBe(0)
    await expectIntact(mirror, { retry: [TAG, ...blobs] })
  })

  it('leaves what nobody asks for to be collected after that month', async () => {
    await lose()
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    await clock.advance(31 * 24 * HOUR)
    expect((await mirror.maintenance.gc(false)).freed.blobs).toBe(3)
    await expectIntact(mirror, { retry: [TAG, ...blobs] })
  })

  it('costs nothing that a pull claims while the rest is collected', async () => {
    await lose()
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    await clock.advance(31 * 24 * HOUR)
    let claimed: Promise<void> | undefined
    const entomb = mirror.catalog.entomb.bind(mirror.catalog)
    mirror.catalog.entomb = async (digest, unless) => {
      await (claimed ??= pull(mirror, ...blobs))
      return entomb(digest, unless)
    }
    const { unreferenced } = await mirror.maintenance.gc(false)
    expect(unreferenced.map(({ digest }) => digest)).toEqual([IMAGE.manifest.digest])
    expect((await mirror.catalog.totals()).blobs).toBe(blobs.length)
    await expectIntact(mirror, { retry: [TAG, ...blobs] })
  })

  it('gives no month to what was claimed and then removed', async () => {
    await lose()
    await using mirror = await start()
    await mirror.upkeep.setRight(signal)
    await pull(mirror, TAG, ...blobs)
    await mirror.maintenance.remove({ references: ['app:1'], all: false, dryRun: false })
    expect(await mirror.catalog.totals()).toEqual({ blobs: 0, bytes: 0 })
  })
})

describe('a manifest whose row cannot be written', () => {
  it('leaves no file behind, and is answered all the same', async () => {
    await using mirror = await start()
    const failing = failStatements('INSERT INTO blobs')
    try {
      await pull(mirror, TAG)
      expect(await Array.fromAsync(mirror.store.list())).toEqual([])
    } finally {
      failing[Symbol.dispose]()
    }
    await expectIntact(mirror, { retry: [TAG] })
  })
})
