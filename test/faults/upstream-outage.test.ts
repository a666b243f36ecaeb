import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { ManualClock } from '../support/clock.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'

const REPOSITORY = 'library/app'
const TAG = `/v2/${REPOSITORY}/manifests/v1`
const MINUTE = 60_000
const TTL = 5 * MINUTE
const HOUR = 60 * MINUTE
const HTML = { 'content-type': 'text/html' }

const IMAGE = buildImage({ seed: 'outage', layers: 1 })
const NEWER = buildImage({ seed: 'outage, newer' })
const OTHER = buildImage({ seed: 'outage, other' })
const BY_DIGEST = `/v2/${REPOSITORY}/manifests/${IMAGE.manifest.digest}`

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(() => {
  clock = new ManualClock()
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

type Upstream = TestMirrorOptions['upstreams'][string]

async function start(
  options: FakeRegistryOptions = {},
  upstream: Partial<Upstream> = {},
): Promise<void> {
  registry = await FakeRegistry.start(options)
  registry.add(REPOSITORY, IMAGE, 'v1')
  registry.add('library/other', OTHER, 'v1')
  const deps = { clock: { ...hastyClock, now: () => clock.now() } }
  mirror = await TestMirror.start({
    upstreams: { 'docker.io': { registry, deps, ...upstream } },
    clock,
  })
}

async function pull(path = TAG) {
  const started = performance.now()
  const response = await mirror.fetch(path)
  await response.arrayBuffer()
  const { status, headers } = response
  return {
    status,
    digest: headers.get('docker-content-digest'),
    how: (headers.get('cache-status') ?? '').replace('oci-mirror; ', ''),
    headers,
    ms: performance.now() - started,
  }
}

/** Cold content of this upstream, until nobody is asked for it any more. */
async function openCircuit(): Promise<void> {
  for (let n = 0; n < 10; n += 1) await pull(`/v2/library/cold/manifests/${n}`)
  expect(circuitLog()).toContain('opened circuit')
}

function circuitLog(): readonly string[] {
  return mirror.logs.map(({ message }) => message).filter((text) => text.includes('circuit'))
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Infinity
}

describe('an upstream that is down for hours', () => {
  it('costs no time where there is a copy, and is found again without a restart', async () => {
    await start()
    await pull()
    await registry.stop()
    await clock.advance(TTL)
    await openCircuit()
    registry.requests.length = 0

    const stale = await Promise.all(Array.from({ length: 21 }, () => pull()))
    for (const { status, digest, how, headers } of stale) {
      expect({ status, digest, how }).toEqual({
        status: 200,
        digest: IMAGE.manifest.digest,
        how: 'fwd=stale; detail=upstream-unavailable',
      })
      expect(headers.get('warning')).toMatch(/^299 - "docker\.io\/library\/app:v1 comes from the c/)
      expect(headers.get('age')).toBe('300')
    }
    const times: number[] = []
    for (let n = 0; n < 15; n += 1) times.push((await pull()).ms)
    // From the client's side, in one process with everything else; nothing that waits takes so little.
    expect(median(times)).toBeLessThan(50)
    expect(await pull(BY_DIGEST)).toMatchObject({ status: 200, how: 'hit' })

    await clock.advance(6 * HOUR)
    await registry.restart()
    registry.add(REPOSITORY, NEWER, 'v1')
    expect(await pull()).toMatchObject({ status: 200, digest: NEWER.manifest.digest })
    expect(circuitLog()).toEqual(['opened circuit', 'tried circuit', 'closed circuit'])
    await expectIntact(mirror, { retry: [TAG, BY_DIGEST, `/v2/library/other/manifests/v1`] })
  })

  it('answers a cold tag with 503 at once, with the time to come back', async () => {
    await start()
    await registry.stop()
    await openCircuit()
    const { status, headers } = await pull('/v2/library/cold/manifests/other')
    expect(status).toBe(503)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    await registry.restart()
    await clock.advance(MINUTE)
    await expectIntact(mirror, { retry: [TAG] })
  })

  it('fills the log with one line, and not with one for each request', async () => {
    await start()
    await pull()
    await registry.stop()
    await clock.advance(TTL)
    await openCircuit()
    const before = mirror.logs.filter(({ level }) => level === 'warn').length
    for (let n = 0; n < 20; n += 1) {
      await pull()
      await clock.advance(10_000)
    }
    const after = mirror.logs.filter(({ level }) => level === 'warn')
    // What finds out whether it is back tells that it is not.
    expect(after.length - before).toBeLessThanOrEqual(20)
    expect(after.filter(({ message }) => message === 'opened circuit')).toHaveLength(1)
    await registry.restart()
    await clock.advance(MINUTE)
    await expectIntact(mirror, { retry: [TAG] })
  })
})

describe('a burst of errors', () => {
  it.each<[string, FaultAction]>([
    ['500', { status: 500 }],
    ['502', { status: 502 }],
    ['503', { status: 503 }],
    ['pages', { status: 200, body: '<html>log in</html>', headers: HTML }],
  ])('of %s is met by few requests, then by one', async (_, action) => {
    await start()
    await pull()
    await clock.advance(TTL)
    const fault = registry.inject({ action })
    registry.requests.length = 0
    const tags = Array.from({ length: 30 }, (_unused, n) => `/v2/library/app/manifests/cold-${n}`)
    for (const path of tags) await pull(path)
    expect(registry.count()).toBe(5)
    await clock.advance(MINUTE)
    await Promise.all([TAG, ...tags].map((path) => pull(path)))
    expect(registry.count()).toBe(6)
    fault.remove()
    await clock.advance(MINUTE)
    await expectIntact(mirror, { retry: [TAG] })
  })
})

describe('a limited rate', () => {
  it.each([
    ['seconds', '90', 90],
    ['a date', new Date(Date.UTC(2026, 0, 1, 0, 6, 30)).toUTCString(), 90],
    ['more than an hour', '1000000000', 3600],
    ['nonsense', 'in a while', 10],
  ])('told in %s slows nothing that is here', async (_, value, seconds) => {
    await start()
    await pull()
    await pull('/v2/library/other/manifests/v1')
    await clock.advance(TTL)
    const headers = { 'retry-after': value }
    const fault = registry.inject({ kind: 'manifest', action: { status: 429, headers } })
    const cold = await pull('/v2/library/cold/manifests/1')
    expect(cold.status).toBe(503)
    expect(Number(cold.headers.get('retry-after'))).toBeLessThanOrEqual(3600)
    registry.requests.length = 0
    for (const path of [TAG, '/v2/library/other/manifests/v1']) {
      const { status, how } = await pull(path)
      expect([status, how]).toEqual([200, 'fwd=stale; detail=upstream-rate-limited'])
    }
    expect((await pull('/v2/library/cold/manifests/2')).status).toBe(503)
    expect(registry.requests).toEqual([])
    const blob = IMAGE.config.digest
    expect((await pull(`/v2/${REPOSITORY}/blobs/${blob}`)).status).toBe(200)

    fault.remove()
    await clock.advance(seconds * 1000)
    expect(await pull()).toMatchObject({ status: 200, how: 'hit; detail=revalidated' })
    await expectIntact(mirror, { retry: [TAG] })
  })

  it('of which little is left is kept for what is not here yet', async () => {
    await start({}, { rateLimit: { reserve: 20 } })
    const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '19;w=21600' }
    const fault = registry.inject({ kind: 'manifest', action: { headers } })
    await pull()
    await clock.advance(TTL)
    registry.add(REPOSITORY, NEWER, 'v1')
    registry.requests.length = 0
    const spared = await pull()
    expect(spared).toMatchObject({
      status: 200,
      digest: IMAGE.manifest.digest,
      how: 'fwd=stale; detail=rate-limit-reserve',
    })
    expect(spared.headers.get('warning')).toContain('(rate-limit-reserve)')
    expect(spared.headers.get('age')).toBe('300')
    expect(registry.requests).toEqual([])
    expect((await pull('/v2/library/other/manifests/v1')).status).toBe(200)
    expect(mirror.logs).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'reached rate limit reserve' }),
    )

    // One check now and then, by HEAD, tells whether there is more again.
    fault.remove()
    registry.requests.length = 0
    await clock.advance(15 * MINUTE)
    expect(await pull()).toMatchObject({ digest: NEWER.manifest.digest })
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET'])
    await expectIntact(mirror, { retry: [TAG] })
  })

  it('is no reason to serve a copy that is too old', async () => {
    await start({}, { rateLimit: { reserve: 20 }, tags: { staleIfError: MINUTE } })
    const headers = { 'ratelimit-limit': '100', 'ratelimit-remaining': '1' }
    registry.inject({ kind: 'manifest', action: { headers } })
    await pull()
    await clock.advance(TTL + MINUTE)
    expect(await pull()).toMatchObject({ status: 200, how: 'hit; detail=revalidated' })
    await expectIntact(mirror, { retry: [TAG] })
  })
})

describe('a token server', () => {
  const auth = { kind: 'token', realm: 'own-port', expiresIn: 60 } as const

  it.each<[string, FaultAction | 'down']>([
    ['is down', 'down'],
    ['fails', { status: 500 }],
    ['says no JSON', { body: '<html>' }],
    ['says nothing', { body: '' }],
    ['talks without end', { endless: true }],
  ])('that %s is needed for nothing that is here', async (_, fault) => {
    await start({ auth, now: () => clock.now() })
    const tokenRealms = [registry.host('token')]
    await mirror[Symbol.asyncDispose]()
    const deps = { clock: { ...hastyClock, now: () => clock.now() } }
    mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry, deps, tokenRealms } },
      clock,
    })
    await pull()
    await clock.advance(TTL)
    if (fault === 'down') await registry.stop('token')
    else registry.inject({ kind: 'token', action: fault })
    expect(await pull()).toMatchObject({ status: 200, how: expect.stringMatching(/^fwd=stale/) })
    expect(await pull(BY_DIGEST)).toMatchObject({ status: 200, how: 'hit' })
    expect([502, 503]).toContain((await pull('/v2/library/other/manifests/v1')).status)
    if (fault === 'down') await registry.restart('token')
    else registry.reset()
    await clock.advance(MINUTE)
    await expectIntact(mirror, { retry: [TAG, '/v2/library/other/manifests/v1'] })
  })

  it('that gives tokens which open nothing is asked twice, and no more', async () => {
    await start({ auth: { kind: 'token', users: { mirror: 'canary' } } })
    await mirror[Symbol.asyncDispose]()
    mirror = await TestMirror.start({
      upstreams: {
        'docker.io': {
          registry,
          credentials: () => Promise.resolve({ username: 'mirror', password: 'canary' }),
        },
      },
      clock,
    })
    const fault = registry.inject({ kind: 'manifest', action: { status: 401 } })
    expect((await pull()).status).toBe(403)
    expect(registry.count({ kind: 'token' })).toBe(2)
    fault.remove()
    await expectIntact(mirror, { retry: [TAG], canaries: ['canary'] })
  })
})

describe('a repository that changes', () => {
  it('may have what it did not have half a minute ago', async () => {
    await start()
    const blob = buildBlob('late', 1_000)
    const paths = [`/v2/${REPOSITORY}/manifests/late`, `/v2/${REPOSITORY}/blobs/${blob.digest}`]
    for (const path of paths) expect((await pull(path)).status).toBe(404)
    registry.add(REPOSITORY, NEWER, 'late')
    registry.addBlob(REPOSITORY, blob)
    await clock.advance(30_000)
    await expectIntact(mirror, { retry: paths })
  })
})
