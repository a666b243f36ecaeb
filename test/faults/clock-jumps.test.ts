import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const YEAR = 365 * 24 * 60 * 60_000
const MINUTE = 60_000
const TAG = '/v2/acme/app/manifests/v1'

describe('a clock that is set', () => {
  const image = buildImage({ layers: 1 })
  const [layer = image.config] = image.layers
  const BLOB = `/v2/acme/app/blobs/${layer.digest}`
  let clock: ManualClock
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    registry.add('acme/app', image, 'v1')
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
    for (const path of [TAG, BLOB]) await get(path)
    await mirror.settle()
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: [TAG, BLOB] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function get(path: string): Promise<Response> {
    const response = await mirror.fetch(path)
    await response.arrayBuffer()
    return response
  }

  const heads = () => registry.count({ method: 'HEAD' })
  const status = async (path: string) => (await get(path)).headers.get('cache-status')

  it.each([
    ['ahead', YEAR],
    ['back', -YEAR],
  ])('%s by a year costs one check of a tag, and no blob', async (_, jump) => {
    clock.jump(jump)
    expect(await status(TAG)).toContain('revalidated')
    expect(await status(TAG)).toBe('oci-mirror; hit')
    expect(heads()).toBe(1)
    expect(await status(BLOB)).toBe('oci-mirror; hit')
    await clock.advance(5 * MINUTE)
    expect(await status(TAG)).toContain('revalidated')
    expect(registry.count({ kind: 'blob' })).toBe(1)
  })

  it.each([
    ['ahead and back', YEAR],
    ['back and ahead', -YEAR],
  ])('%s leaves tags that move as they are upstream, and that for good', async (_, jump) => {
    clock.jump(jump)
    await get(TAG)
    clock.jump(-jump)
    const moved = buildImage({ seed: 'moved', layers: 1 })
    registry.add('acme/app', moved, 'v1')
    await clock.advance(6 * MINUTE)
    for (let turn = 0; turn < 2; turn += 1) {
      const response = await get(TAG)
      expect(response.headers.get('docker-content-digest')).toBe(moved.manifest.digest)
    }
    expect(heads()).toBe(2)
    expect(await status(TAG)).toBe('oci-mirror; hit')
    await clock.advance(6 * MINUTE)
    await registry.stop()
    const stale = await get(TAG)
    expect(stale.headers.get('docker-content-digest')).toBe(moved.manifest.digest)
    expect(stale.headers.get('cache-status')).toContain('fwd=stale')
    await registry.restart()
    await clock.advance(5 * MINUTE)
  })

  it('back never makes anything younger than new: no Age is negative', async () => {
    clock.jump(-YEAR)
    const down = registry.inject({ action: { status: 503 } })
    const response = await get(TAG)
    expect(response.status).toBe(200)
    expect(response.headers.get('age')).toBe('0')
    expect(response.headers.get('warning')).toMatch(/^299 /)
    down.remove()
    await clock.advance(5 * MINUTE)
  })

  it('ahead further than a copy may be old is no reason to lose it', async () => {
    const down = registry.inject({ action: { status: 503 } })
    clock.jump(YEAR)
    expect((await get(TAG)).status).toBe(503)
    clock.jump(-YEAR)
    expect(await status(TAG)).toBe('oci-mirror; hit')
    down.remove()
    await clock.advance(5 * MINUTE)
  })

  it('back does not prolong what is remembered for seconds', async () => {
    const late = buildBlob('late', 1000)
    const path = `/v2/acme/app/blobs/${late.digest}`
    for (const missing of [path, '/v2/acme/app/manifests/v2'])
      expect((await get(missing)).status).toBe(404)
    registry.addBlob('acme/app', late)
    registry.add('acme/app', image, 'v2')
    clock.jump(-YEAR)
    expect((await get(path)).status).toBe(404)
    expect((await get('/v2/acme/app/manifests/v2')).status).toBe(404)
    await clock.advance(10_001)
    for (const here of [path, '/v2/acme/app/manifests/v2'])
      expect((await get(here)).status).toBe(200)
  })

  it('leaves timers as they are: an upstream that does not answer is given up in time', async () => {
    const cold = buildBlob('cold', 1000)
    registry.addBlob('acme/app', cold)
    const silent = Promise.withResolvers<void>()
    registry.inject({ kind: 'blob', times: 1, action: { until: silent.promise } })
    const waiting = get(`/v2/acme/app/blobs/${cold.digest}`)
    await expect.poll(() => clock.sleeping()).toBeGreaterThan(0)
    clock.jump(-YEAR)
    await clock.advance(20_000)
    expect((await waiting).status).toBe(504)
    silent.resolve()
    await mirror.mirror.idle()
  })
})
