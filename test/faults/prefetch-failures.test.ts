import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock } from '../support/clock.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const WINDOW = 16
const IMAGE = buildImage({ seed: 'prefetch faults', layers: 24, layerBytes: 20_000 })
const { config: CONFIG, layers: LAYERS } = IMAGE
const [FIRST, SECOND, THIRD] = LAYERS as [TestBlob, TestBlob, TestBlob]
const LAST = LAYERS.at(-1) ?? FIRST
const SECOND_MS = 1_000
const MIB = 1024 * 1024
const MINUTE = 60 * SECOND_MS

const MANIFEST = '/v2/library/app/manifests/1'
const pathOf = ({ digest }: { readonly digest: string }) => `/v2/library/app/blobs/${digest}`

describe('a prefetch', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    registry.add('library/app', IMAGE, '1')
  })
  afterEach(async () => {
    await mirror.mirror.idle()
    registry.reset()
    await clock.advance(20 * MINUTE)
    await expect.poll(() => isOpen(mirror), { timeout: 5_000 }).toBe(false)
    await expectIntact(mirror, { retry: [MANIFEST, ...[CONFIG, ...LAYERS].map(pathOf)] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function start(
    upstream: Partial<TestMirrorOptions['upstreams'][string]> = {},
    others: Partial<TestMirrorOptions> = {},
  ): Promise<void> {
    const upstreams = { 'docker.io': { registry, prefetch: true, ...upstream } }
    mirror = await TestMirror.start({ upstreams, clock, ...others })
  }

  const asked = () => registry.count({ kind: 'blob' })
  const askedFor = ({ digest }: TestBlob) => registry.count({ reference: digest })

  async function get(path: string): Promise<{ readonly status: number; readonly how: string }> {
    const answer = await mirror.fetch(path)
    await answer.arrayBuffer()
    return { status: answer.status, how: answer.headers.get('cache-status') ?? '' }
  }

  /** The configuration brings the window. */
  async function begin(): Promise<void> {
    await get(MANIFEST)
    expect((await get(pathOf(CONFIG))).status).toBe(200)
  }

  const paused = () => mirror.logs.filter(({ message }) => message === 'paused prefetching')
  const complaints = () => mirror.logs.filter(({ level }) => level === 'warn' || level === 'error')

  it('is joined by a client who wants it meanwhile, even before upstream has answered', async () => {
    await start()
    const opened = Promise.withResolvers<void>()
    registry.inject({ reference: FIRST.digest, action: { until: opened.promise } })
    await begin()
    await expect.poll(() => askedFor(FIRST)).toBe(1)
    const answer = get(pathOf(FIRST))
    // A request that comes after it is answered, so it has been looked at.
    expect((await get(pathOf(LAST))).status).toBe(200)
    opened.resolve()
    expect(await answer).toEqual({ status: 200, how: 'oci-mirror; fwd=miss; collapsed' })
    expect(askedFor(FIRST)).toBe(1)
  })

  it('keeps no client waiting: what waits for its turn gets the turn of a client', async () => {
    // Three slots for blobs, one of them for the background.
    await start({ connections: 4 })
    const gate = registry.gate({ reference: FIRST.digest, after: 10 })
    await begin()
    await gate.reached
    expect(asked()).toBe(2)
    expect(await get(pathOf(THIRD))).toMatchObject({ status: 200 })
    expect(await get(pathOf(LAST))).toMatchObject({ status: 200 })
    expect([askedFor(THIRD), askedFor(LAST), asked()]).toEqual([1, 1, 4])
    gate.open()
  })

  describe.each<readonly [string, FaultAction, number]>([
    ['refused', { status: 403 }, 30 * SECOND_MS],
    ['answered with 429', { status: 429, headers: { 'retry-after': '1' } }, 5 * MINUTE],
    ['failing with 503', { status: 503 }, 30 * SECOND_MS],
  ])('that is %s', (_, action, pause) => {
    it('is not repeated, and is gone on with after a pause', async () => {
      await start()
      const faults = LAYERS.slice(0, WINDOW).map(({ digest }) =>
        registry.inject({ kind: 'blob', reference: digest, action }),
      )
      await begin()
      // Retries take their time.
      await mirror.mirror.idle()
      expect(paused()).toHaveLength(1)
      const hits = faults.map((fault) => fault.hits)
      expect(Math.max(...hits)).toBeLessThanOrEqual(3)
      expect(complaints().filter(({ message }) => !/circuit|upstream/.test(message))).toEqual([])

      for (const fault of faults) fault.remove()
      registry.requests.length = 0
      await expect.poll(() => isOpen(mirror), { timeout: 5_000 }).toBe(false)
      await clock.advance(pause)
      expect((await get(pathOf(FIRST))).status).toBe(200)
      await mirror.mirror.idle()
      expect(asked()).toBe(1)
      await clock.advance(1)
      expect((await get(pathOf(SECOND))).status).toBe(200)
      await mirror.mirror.idle()
      // The clients' own, and what has taken their place ahead of them.
      expect(asked()).toBe(2 + 2)
    })
  })

  it('does not go on to layers that a registry would refuse as well', async () => {
    await start()
    for (const { digest } of LAYERS) {
      registry.inject({ kind: 'blob', reference: digest, action: { status: 403 } })
    }
    await begin()
    await mirror.mirror.idle()
    const before = asked()
    expect(before).toBeLessThanOrEqual(1 + WINDOW)
    for (const layer of LAYERS.slice(0, 4)) await get(pathOf(layer))
    await mirror.mirror.idle()
    // The clients' own requests, and nothing ahead of them.
    expect(asked() - before).toBeLessThanOrEqual(4)
    expect(paused()).toHaveLength(1)
  })

  it('passes over a layer that the registry does not have', async () => {
    await start()
    registry.delete('library/app', FIRST.digest)
    await begin()
    await mirror.settle()
    expect(asked()).toBe(1 + WINDOW + 1)
    expect(paused()).toEqual([])
    registry.addBlob('library/app', FIRST)
  })

  it('stores no wrong bytes, and tells the client who asks for them', async () => {
    await start()
    const fault = registry.inject({ reference: FIRST.digest, action: { corrupt: 'last' } })
    await begin()
    await mirror.settle()
    expect(fault.hits).toBe(1)
    expect((await get(pathOf(FIRST))).status).toBe(502)
    expect(fault.hits).toBe(1)
    expect((await get(pathOf(SECOND))).how).toBe('oci-mirror; hit')
  })

  it('asks nothing while few pulls are left', async () => {
    await start()
    const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '9;w=21600' }
    registry.inject({ kind: 'manifest', action: { headers } })
    await begin()
    await mirror.settle()
    expect(asked()).toBe(1)
  })

  it('asks nothing of an upstream that is left alone', async () => {
    await start()
    await begin()
    await mirror.settle()
    const before = asked()
    await registry.stop()
    for (let n = 0; n < 6; n += 1) await get(`/v2/library/app/manifests/none-${n}`)
    expect((await get(pathOf(LAST))).status).toBe(503)
    expect((await get(pathOf(FIRST))).how).toBe('oci-mirror; hit')
    await mirror.mirror.idle()
    expect(asked()).toBe(before)
    expect(paused()).toHaveLength(1)
    await registry.restart()
  })

  it('evicts nothing that was used within a day, and says so once and quietly', async () => {
    const used = buildBlob('used', 400_000)
    registry.addBlob('library/app', used)
    const limits = { maxSize: 500_000, minFree: { bytes: 0 } }
    await start({}, { limits })
    await get(pathOf(used))
    await begin()
    await mirror.settle()
    expect((await get(pathOf(used))).how).toBe('oci-mirror; hit')
    expect(asked()).toBeLessThanOrEqual(2 + WINDOW)
    expect(paused()).toMatchObject([{ level: 'debug' }])
    expect(complaints()).toEqual([])
    // The client's own pull makes room.
    for (const layer of LAYERS) expect((await get(pathOf(layer))).status).toBe(200)
    expect(paused()).toHaveLength(1)
    expect(mirror.mirror.disk).toEqual({ kind: 'ok' })
  })

  it('is evicted like anything else that nobody uses', async () => {
    const limits = { maxSize: 500_000, minFree: { bytes: 0 } }
    await start({}, { limits })
    await begin()
    await mirror.settle()
    await clock.advance(MINUTE)
    await get(pathOf(FIRST))
    const large = buildBlob('large', 300_000)
    registry.addBlob('library/app', large)
    expect((await get(pathOf(large))).status).toBe(200)
    await mirror.settle()
    expect((await get(pathOf(FIRST))).how).toBe('oci-mirror; hit')
    const stored = LAYERS.slice(1, WINDOW).map(async ({ digest }) => mirror.store.stat(digest))
    expect((await Promise.all(stored)).filter((one) => one === undefined)).not.toEqual([])
  })

  it('goes without where the disk refuses', async () => {
    const disk = new FailingFs()
    await start({}, { fs: disk.fs })
    await get(MANIFEST)
    const full = disk.fail({ operation: 'file.writev', code: 'ENOSPC' })
    expect((await get(pathOf(CONFIG))).status).toBe(200)
    await mirror.mirror.idle()
    expect((await get(pathOf(FIRST))).status).toBe(200)
    await mirror.mirror.idle()
    expect(asked()).toBeLessThanOrEqual(2 + WINDOW)
    full.remove()
  })

  it('ends with the mirror, which does not wait for it, and is gone on with afterwards', async () => {
    const dir = await makeTempDir()
    onTestFinished(() => dir.remove())
    const large = buildImage({ seed: 'large', layers: 2, layerBytes: 4 * MIB })
    const [layer = large.config] = large.layers
    registry.add('library/app', large, '1')
    const upstreams = { 'docker.io': { registry, prefetch: true } }
    const first = await TestMirror.start({ upstreams }, dir)
    const gate = registry.gate({ reference: layer.digest, after: 3 * MIB })
    await first.fetch(MANIFEST).then((answer) => answer.arrayBuffer())
    await first.fetch(pathOf(large.config)).then((answer) => answer.arrayBuffer())
    await gate.reached
    await expect.poll(() => sizesOf(first)).toEqual([3 * MIB])
    await first.close()
    gate.open()
    registry.reset()
    registry.add('library/app', IMAGE, '1')
    mirror = await TestMirror.start({ upstreams }, dir)
    expect((await get(pathOf(layer))).status).toBe(200)
    const [request] = registry.requests.filter(({ reference }) => reference === layer.digest)
    expect(request?.headers['range']).toBe(`bytes=${3 * MIB - 1}-${layer.size - 1}`)
  })
})

/** Whether requests are refused without being sent. */
function isOpen({ operations }: TestMirror): Promise<boolean> {
  return operations.maintenance.stats().then(({ activity }) => {
    const endpoints = activity?.upstreams.flatMap(({ state }) => state?.endpoints ?? []) ?? []
    return endpoints.some(
      ({ circuit }) => circuit.until !== undefined && circuit.until > Date.now(),
    )
  })
}

/** Bytes of what is being downloaded. */
async function sizesOf({ dir }: TestMirror): Promise<readonly number[]> {
  const entries = await readdir(join(dir, 'spool'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size))
}
