import type { WarmProgress } from '../../src/core/airgap/warm-api.ts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hurried, warm } from '../airgap/warm/warm.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ seed: 'app', layers: 2, layerBytes: 3_000_000 })
const [FIRST = IMAGE.config, SECOND = IMAGE.config] = IMAGE.layers
const NAME = 'docker.io/library/app:1'
const OPTIONS = { referrers: false }

let dir: TempDir
let registry: FakeRegistry
let mirror: TestMirror
let retry: readonly string[]

beforeEach(async () => {
  retry = ['/v2/library/app/manifests/1']
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, '1')
  const upstreams = { 'docker.io': { registry, deps: { clock: hurried } } }
  mirror = await TestMirror.start({ upstreams, clock: hurried }, dir)
})
afterEach(async () => {
  await expectIntact(mirror, { retry })
  await mirror[Symbol.asyncDispose]()
  await registry.close()
  await dir.remove()
})

describe('a warming', () => {
  it('tries again what may pass by itself, and what it shows never goes back', async () => {
    registry.inject({
      kind: 'manifest',
      times: 1,
      action: { status: 429, headers: { 'retry-after': '1' } },
    })
    registry.inject({
      reference: FIRST.digest,
      times: 3,
      action: { cut: { after: 1_000_000, how: 'reset' }, ignoreRange: true },
    })
    const { states, steps } = await warm(mirror, ['app:1'], OPTIONS)
    expect(states).toEqual({ [NAME]: 'fetched' })
    const done = steps.map(({ bytes }) => bytes.done)
    const total = steps.map(({ bytes }) => bytes.total)
    expect(done).toEqual(done.toSorted((a, b) => a - b))
    expect(total).toEqual(total.toSorted((a, b) => a - b))
  })

  it('does not wait for an upstream that asks for more than a minute, and leaves it alone', async () => {
    const action = { status: 429, headers: { 'retry-after': '3600' } }
    registry.inject({ kind: 'manifest', action })
    const { report } = await warm(mirror, ['app:1', 'app:2', 'app:3'], { ...OPTIONS, jobs: 1 })
    expect(report.images.map(({ state }) => state)).toEqual(['failed', 'skipped', 'skipped'])
    expect(report.images[1]?.reason).toMatch(/^docker\.io limits us, and is left alone: /)
    expect(registry.count()).toBe(1)
    // Nobody is let through for an hour.
    retry = []
  })

  it('goes on where it was stopped: what has landed stays, what had begun is resumed', async () => {
    const gate = registry.gate({ reference: SECOND.digest, after: 2_000_000 })
    const stop = new AbortController()
    const steps: WarmProgress[] = []
    const stopped = warm(mirror, ['app:1'], { ...OPTIONS, signal: stop.signal, steps })
    stopped.catch(() => {})
    await gate.reached
    await expect.poll(() => steps.at(-1)?.bytes.done).toBeGreaterThan(FIRST.size + 1_500_000)
    await expect.poll(async () => (await mirror.store.stat(FIRST.digest))?.size).toBe(FIRST.size)
    stop.abort(new Error('stopped by SIGINT'))
    await expect(stopped).rejects.toThrow('stopped by SIGINT')
    await mirror.mirror.idle()
    gate.open()
    expect(await mirror.spooled()).toHaveLength(1)
    registry.reset()
    const { states } = await warm(mirror, ['app:1'], OPTIONS)
    expect(states).toEqual({ [NAME]: 'fetched' })
    const blobs = registry.requests.filter(({ kind }) => kind === 'blob')
    expect(blobs.map(({ reference }) => reference)).toEqual([SECOND.digest])
    expect(blobs[0]?.headers['range']).toMatch(/^bytes=[1-9]\d*-/)
  })

  it('that stops leaves a download alone that a client follows', async () => {
    const gate = registry.gate({ reference: SECOND.digest, after: 2_000_000 })
    const stop = new AbortController()
    const stopped = warm(mirror, ['app:1'], { ...OPTIONS, signal: stop.signal })
    stopped.catch(() => {})
    await gate.reached
    await expect.poll(() => mirror.spooled()).toEqual([SECOND.digest])
    const response = await mirror.fetch(`/v2/library/app/blobs/${SECOND.digest}`)
    stop.abort(new Error('stopped'))
    await expect(stopped).rejects.toThrow('stopped')
    gate.open()
    expect((await response.arrayBuffer()).byteLength).toBe(SECOND.size)
  })

  it('takes wrong bytes from nobody, and says so', async () => {
    registry.inject({ reference: FIRST.digest, action: { corrupt: 'last' } })
    const { report } = await warm(mirror, ['app:1'], OPTIONS)
    expect(report.images).toMatchObject([
      { state: 'failed', reason: expect.stringContaining(FIRST.digest) },
    ])
    registry.reset()
  })

  it('stops at the first failure if it is told to, and says of the rest that it was not tried', async () => {
    const { report } = await warm(mirror, ['app:9', 'app:1'], {
      ...OPTIONS,
      jobs: 1,
      failFast: true,
    })
    expect(report.images.map(({ state }) => state)).toEqual(['absent', 'skipped'])
    expect(report.images[1]?.reason).toMatch(/library\/app:9 failed, and --fail-fast was given/)
    expect(registry.count({ reference: '1' })).toBe(0)
  })

  it('leaves the last pulls to clients, and brings what needs none', async () => {
    registry.add('library/app', buildImage({ seed: 'two' }), '2')
    registry.add('library/app', buildImage({ seed: 'three' }), '3')
    await warm(mirror, ['app:1'], OPTIONS)
    registry.inject({
      kind: 'manifest',
      action: { headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '9;w=21600' } },
    })
    const { report } = await warm(mirror, ['app:1', 'app:2', 'app:3'], { ...OPTIONS, jobs: 1 })
    expect(report.images.map(({ state }) => state)).toEqual(['held', 'skipped', 'skipped'])
    expect(report.images[1]?.reason).toBe(
      'docker.io has 9 of 100 pulls left, which `rateLimit.reserve` keeps for clients: run it again later',
    )
    expect(report.upstreams).toMatchObject([{ rateLimit: { remaining: 9, limit: 100 } }])
    expect(registry.count({ kind: 'manifest', method: 'GET' })).toBe(1)
    registry.reset()
  })
})

describe('a warming on a small disk', () => {
  it('evicts nothing that clients have used within a day, and says which limit is in the way', async () => {
    const used = buildImage({ seed: 'used', layers: 1, layerBytes: 400_000 })
    registry.add('library/used', used, '1')
    await using small = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      limits: { maxSize: 1_000_000, minFree: { bytes: 0 } },
    })
    for (const path of ['manifests/1', ...used.layers.map(({ digest }) => `blobs/${digest}`)]) {
      await (await small.fetch(`/v2/library/used/${path}`)).arrayBuffer()
    }
    registry.add('library/app', buildImage({ seed: 'more' }), '2')
    const { report } = await warm(small, ['app:1', 'app:2'], { ...OPTIONS, jobs: 1 })
    expect(report.images).toMatchObject([
      { state: 'failed', reason: expect.stringContaining('storage.maxSize') },
      { state: 'skipped', reason: expect.stringContaining('storage.maxSize') },
    ])
    const [layer] = used.layers
    expect(await small.store.stat(layer?.digest ?? used.config.digest)).toBeDefined()
    await expectIntact(small)
  })
})
