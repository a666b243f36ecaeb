import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TagPolicy } from '../../src/core/freshness.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'
import { ManualClock } from '../support/clock.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'
import { get, pull } from './maintenance/pulled.ts'

const SIZE = 100_000
const MINUTE = 60_000
const APP = { upstream: 'docker.io', name: 'library/app' } as Repository
const TAG = '/v2/library/app/manifests/1'
const IMAGE = buildImage({ layers: 1, layerBytes: SIZE })
const [LAYER = IMAGE.config] = IMAGE.layers
const NEXT = buildImage({ seed: 'next' })
const OTHERS = ['a', 'b', 'c', 'd'].map((seed) => buildBlob(seed, SIZE))

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock
let disk: FailingFs

async function start(tags: Partial<TagPolicy> = {}): Promise<void> {
  disk = new FailingFs()
  // How long an upstream is left alone is a matter of the test's time.
  const deps = { clock: { ...hastyClock, now: () => clock.now() } }
  mirror = await TestMirror.start({
    upstreams: { 'docker.io': { registry, tags, deps } },
    limits: { maxSize: 3.5 * SIZE, minFree: { bytes: 0 } },
    clock,
    fs: disk.fs,
  })
  await pull(mirror, 'library/app', '1', IMAGE)
}

beforeEach(async () => {
  clock = new ManualClock()
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, '1')
  for (const blob of OTHERS) registry.addBlob('library/other', blob)
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

async function answer(): Promise<string> {
  const response = await mirror.fetch(TAG)
  await response.text()
  return `${response.status} ${response.headers.get('docker-content-digest') ?? ''}`
}

/** More than there is room for. */
async function crowd(): Promise<void> {
  for (const { digest } of OTHERS) {
    await clock.advance(1000)
    await get(mirror, `/v2/library/other/blobs/${digest}`)
    await mirror.settle()
  }
}

const pin = () => mirror.maintenance.pin({ references: ['app:1'], all: false })
const stored = async () => (await Array.fromAsync(mirror.store.list())).map(({ digest }) => digest)
const parts = [IMAGE.manifest, IMAGE.config, LAYER].map(({ digest }) => digest)

describe('a held tag', () => {
  it('is never answered with what upstream calls by its name now', async () => {
    await start()
    await mirror.maintenance.hold('app:1')
    registry.add('library/app', NEXT, '1')
    registry.delete('library/app', IMAGE.manifest.digest)
    await mirror.mirror.control.evict(IMAGE.manifest.digest)
    mirror.mirror.control.forgetManifest(APP, IMAGE.manifest.digest)
    const response = await mirror.fetch(TAG)
    expect(response.status).toBe(404)
    expect(await response.text()).toMatch(/is held at sha256:.*its registry has it no more/)
    expect(await answer()).toBe('404 ')
    registry.add('library/app', IMAGE)
    expect(await answer()).toBe(`200 ${IMAGE.manifest.digest}`)
    await expectIntact(mirror, { retry: [TAG] })
  })

  it('keeps the bytes of its image, as long as it is held', async () => {
    await start()
    await mirror.maintenance.hold('app:1')
    await crowd()
    expect(await stored()).toEqual(expect.arrayContaining(parts))
    await mirror.maintenance.release('app:1')
    await crowd()
    expect(await stored()).not.toContain(LAYER.digest)
    await expectIntact(mirror, { retry: [TAG] })
  })
})

describe('the tag of a pinned image', () => {
  it('stays when upstream drops it, and goes when the image is not pinned any more', async () => {
    await start()
    await pin()
    registry.deleteTag('library/app', '1')
    for (let n = 0; n < 2; n += 1) {
      await clock.advance(10 * MINUTE)
      const response = await mirror.fetch(TAG)
      expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(IMAGE.manifest.digest)
      expect(response.headers.get('cache-status')).toMatch(/fwd=stale; detail=upstream-gone/)
    }
    expect(await mirror.catalog.resolve(APP, '1' as Tag)).toBeDefined()
    await mirror.maintenance.unpin({ references: ['app:1'], all: false })
    await clock.advance(10 * MINUTE)
    expect(await answer()).toBe('404 ')
    expect(await mirror.catalog.resolve(APP, '1' as Tag)).toBeUndefined()
  })

  it('stays at the pinned image, although upstream had moved it before', async () => {
    await start()
    await pin()
    registry.add('library/app', NEXT, '1')
    await clock.advance(10 * MINUTE)
    expect((await mirror.head(TAG)).headers.get('docker-content-digest')).toBe(NEXT.manifest.digest)
    registry.deleteTag('library/app', '1')
    await clock.advance(10 * MINUTE)
    expect(await answer()).toBe(`200 ${IMAGE.manifest.digest}`)
  })
})

describe.each([
  ['refuses us', { status: 403 }, 'upstream-denied'],
  ['is down', { status: 503 }, 'upstream-unavailable'],
])('while its upstream %s', (_, action, detail) => {
  const YEAR = 365 * 24 * 60 * MINUTE

  it('a tag is served as long as it may stand in, and for good once its image is pinned', async () => {
    await start()
    await pin()
    const fault = registry.inject({ kind: 'manifest', action })
    for (let n = 0; n < 2; n += 1) {
      await clock.advance(YEAR)
      const response = await mirror.fetch(TAG)
      expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(IMAGE.manifest.digest)
      expect(response.headers.get('cache-status')).toBe(`oci-mirror; fwd=stale; detail=${detail}`)
      expect(Number(response.headers.get('age'))).toBeGreaterThanOrEqual(YEAR / 1000)
    }
    await mirror.maintenance.unpin({ references: ['app:1'], all: false })
    await clock.advance(MINUTE)
    expect((await mirror.head(TAG)).status).toBe(action.status)
    fault.remove()
    await clock.advance(MINUTE)
    await expectIntact(mirror, { retry: [TAG] })
  })

  it('a pinned tag is not answered with a newer image that never came', async () => {
    await start()
    await pin()
    registry.add('library/app', NEXT, '1')
    await clock.advance(10 * MINUTE)
    expect((await mirror.head(TAG)).headers.get('docker-content-digest')).toBe(NEXT.manifest.digest)
    registry.inject({ kind: 'manifest', action })
    await clock.advance(YEAR)
    const head = await mirror.head(TAG)
    expect([head.status, head.headers.get('docker-content-digest')]).toEqual([
      200,
      IMAGE.manifest.digest,
    ])
    expect(await answer()).toBe(`200 ${IMAGE.manifest.digest}`)
  })

  it('a held tag is served, and its upstream is not asked', async () => {
    await start()
    await mirror.maintenance.hold('app:1')
    registry.inject({ kind: 'manifest', action })
    registry.requests.length = 0
    await clock.advance(YEAR)
    expect(await answer()).toBe(`200 ${IMAGE.manifest.digest}`)
    expect(registry.requests).toEqual([])
  })
})

describe('a pin that comes while room is made', () => {
  it('keeps what was about to be evicted', async () => {
    await start()
    const big = buildBlob('big', 3.5 * SIZE)
    registry.addBlob('library/other', big)
    let pinned: Promise<unknown> | undefined
    const forget = mirror.catalog.forget.bind(mirror.catalog)
    // The first of the plan goes; the others are pinned before their turn.
    mirror.catalog.forget = async (digest) => {
      await (pinned ??= pin())
      await forget(digest)
    }
    const before = new Set(await stored())
    await get(mirror, `/v2/library/other/blobs/${big.digest}`)
    await mirror.settle()
    expect(pinned).toBeDefined()
    expect(before.difference(new Set(await stored())).size).toBe(1)
    await expectIntact(mirror, { retry: [TAG] })
  })
})
