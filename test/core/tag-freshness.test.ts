import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { TagPolicy } from '../../src/core/freshness.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'

const REPOSITORY = 'library/app'
const TAG = `/v2/${REPOSITORY}/manifests/v1`
const SECOND = 1000
const MINUTE = 60 * SECOND
const TTL = 5 * MINUTE
const DAY = 24 * 60 * MINUTE

describe('a tag', () => {
  const image = buildImage()
  const newer = buildImage({ seed: 'newer' })
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  async function start(tags: Partial<TagPolicy> = {}): Promise<void> {
    // Retries are real and short; how long an upstream is left alone is a matter of the test's time.
    const deps = { clock: { ...hastyClock, now: () => clock.now() } }
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry, tags, deps } }, clock })
  }

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    registry.add(REPOSITORY, image, 'v1')
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  /** Pulls the tag and says what came, in one line. */
  async function pull(
    path = TAG,
  ): Promise<{ status: number; digest: string | null; how: string; headers: Headers }> {
    const response = await mirror.fetch(path)
    await response.arrayBuffer()
    const { status, headers } = response
    const how = (headers.get('cache-status') ?? '').replace('oci-mirror; ', '')
    return { status, digest: headers.get('docker-content-digest'), how, headers }
  }

  const old = { status: 200, digest: image.manifest.digest }
  const fresh = { status: 200, digest: newer.manifest.digest }

  describe.each<[string, FaultAction | 'down', string]>([
    ['is down', 'down', 'upstream-unavailable'],
    ['answers 500', { status: 500 }, 'upstream-unavailable'],
    ['answers 503', { status: 503 }, 'upstream-unavailable'],
    ['limits our rate', { status: 429, headers: { 'retry-after': '60' } }, 'upstream-rate-limited'],
    [
      'answers with a web page',
      { body: '<html>', headers: { 'content-type': 'text/html' } },
      'upstream-misbehaved',
    ],
    [
      'answers 404 with a web page',
      { status: 404, body: '<html>', headers: { 'content-type': 'text/html' } },
      'upstream-misbehaved',
    ],
    ['refuses us', { status: 403 }, 'upstream-denied'],
    ['answers nonsense', { raw: 'HTTP/1.1 nonsense\r\n\r\n' }, 'upstream-misbehaved'],
  ])('whose upstream %s', (_, fault, detail) => {
    beforeEach(async () => {
      await start()
      await pull()
      if (fault === 'down') await registry.stop()
      else registry.inject({ kind: 'manifest', action: fault })
    })

    it('comes from the cache, and says so', async () => {
      await clock.advance(TTL + MINUTE)
      const pulled = await pull()
      expect(pulled).toMatchObject({ ...old, how: `fwd=stale; detail=${detail}` })
      expect(pulled.headers.get('age')).toBe('360')
      expect(pulled.headers.get('warning')).toMatch(
        /^299 - "docker.io\/library\/app:v1 comes from the cache/,
      )
    })

    it('is not asked for again and again', async () => {
      await clock.advance(TTL)
      await pull()
      registry.requests.length = 0
      expect(await pull()).toMatchObject(old)
      expect(registry.requests).toEqual([])
    })

    it('is served by digest without a word', async () => {
      await clock.advance(TTL)
      const byDigest = await pull(`/v2/${REPOSITORY}/manifests/${image.manifest.digest}`)
      expect(byDigest).toMatchObject({ ...old, how: 'hit' })
    })

    it('is refused once the copy is too old to stand in', async () => {
      await clock.advance(TTL + 30 * DAY)
      const { status } = await pull()
      expect(status).toBe(
        detail === 'upstream-denied' ? 403 : detail === 'upstream-misbehaved' ? 502 : 503,
      )
    })

    it('recovers without being told', async () => {
      await clock.advance(TTL)
      await pull()
      registry.reset()
      if (fault === 'down') await registry.restart()
      registry.add(REPOSITORY, newer, 'v1')
      await clock.advance(MINUTE)
      expect(await pull()).toMatchObject(fresh)
    })
  })

  it('that we may no longer read is served for the grace time only, and logged as an error', async () => {
    await start()
    await pull()
    registry.inject({
      kind: 'manifest',
      action: { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } },
    })
    await clock.advance(TTL + 59 * MINUTE)
    expect(await pull()).toMatchObject({ ...old, how: 'fwd=stale; detail=upstream-denied' })
    expect(mirror.logs).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'failed to check tag' }),
    )
    await clock.advance(MINUTE)
    expect((await pull()).status).toBe(403)
  })

  it('that its registry has dropped is dropped, and its digest stays', async () => {
    await start()
    await pull()
    registry.deleteTag(REPOSITORY, 'v1')
    await clock.advance(TTL)
    const pulled = await mirror.fetch(TAG)
    expect(pulled.status).toBe(404)
    expect(await pulled.json()).toMatchObject({ errors: [{ code: 'MANIFEST_UNKNOWN' }] })
    await registry.stop()
    expect((await pull()).status).toBe(404)
    expect(await pull(`/v2/${REPOSITORY}/manifests/${image.manifest.digest}`)).toMatchObject(old)
    await registry.restart()
  })

  it('that its registry has dropped stays if the operator says so', async () => {
    await start({ onGone: 'keep' })
    await pull()
    registry.deleteTag(REPOSITORY, 'v1')
    await clock.advance(TTL)
    expect(await pull()).toMatchObject({ ...old, how: 'fwd=stale; detail=upstream-gone' })
    expect(mirror.logs.map(({ message }) => message)).toContain('kept tag that upstream dropped')
  })

  it('is served stale when the check outlasts the patience, and the check goes on', async () => {
    await start()
    await pull()
    registry.add(REPOSITORY, newer, 'v1')
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    registry.inject({ kind: 'manifest', method: 'HEAD', times: 1, action: { until: answered } })
    await clock.advance(TTL)
    const waiting = pull()
    // The check has a limit of its own, beside the client's patience.
    await expect.poll(() => clock.sleeping()).toBe(2)
    await clock.advance(2 * SECOND)
    expect(await waiting).toMatchObject({ ...old, how: 'fwd=stale; detail=upstream-slow' })
    // The patience counts from the start of the check: who comes later does not wait again.
    expect(await pull()).toMatchObject({ ...old, how: 'fwd=stale; detail=upstream-slow' })
    answer()
    await expect.poll(async () => (await pull()).digest).toBe(newer.manifest.digest)
    expect(registry.count({ kind: 'manifest', method: 'HEAD' })).toBe(1)
  })

  it('is served at once while it is revalidated, for as long as the operator allows', async () => {
    await start({ staleWhileRevalidate: MINUTE })
    await pull()
    registry.add(REPOSITORY, newer, 'v1')
    await clock.advance(TTL)
    expect(await pull()).toMatchObject({ ...old, how: 'fwd=stale; detail=revalidating' })
    await expect.poll(async () => (await pull()).digest).toBe(newer.manifest.digest)
    expect(await pull()).toMatchObject({ ...fresh, how: 'hit' })
  })

  it('that never moves is never checked', async () => {
    await start({ isImmutable: (repository, tag) => repository === REPOSITORY && tag === 'v1' })
    await pull()
    await clock.advance(365 * DAY)
    registry.reset()
    expect(await pull()).toMatchObject({ ...old, how: 'hit' })
    expect(registry.requests).toEqual([])
  })

  it('is checked once by a clock that was set back, which cannot tell how old it is', async () => {
    const dir = await makeTempDir()
    onTestFinished(dir.remove)
    const upstreams = { 'docker.io': { registry } }
    await clock.advance(10 * DAY)
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    await pull()
    await mirror.close()
    clock = new ManualClock()
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    expect(await pull()).toMatchObject({ ...old, how: 'hit; detail=revalidated' })
    expect(await pull()).toMatchObject({ ...old, how: 'hit' })
  })

  it('keeps its old manifest while the new one cannot be fetched', async () => {
    await start()
    await pull()
    registry.add(REPOSITORY, newer, 'v1')
    registry.inject({ kind: 'manifest', method: 'GET', action: { status: 500 } })
    await clock.advance(TTL)
    expect(await pull()).toMatchObject({ ...old, how: 'fwd=stale; detail=upstream-unavailable' })
    registry.reset()
    expect(await pull()).toMatchObject(fresh)
  })

  it('is asked for by tag when the digest of its HEAD is gone by the time of the GET', async () => {
    await start()
    await pull()
    registry.add(REPOSITORY, newer, 'v1')
    const stale = { 'docker-content-digest': buildImage({ seed: 'replaced' }).manifest.digest }
    registry.inject({ kind: 'manifest', method: 'HEAD', times: 1, action: { headers: stale } })
    await clock.advance(TTL)
    registry.requests.length = 0
    expect(await pull()).toMatchObject(fresh)
    expect(registry.requests.map(({ method, reference }) => `${method} ${reference}`)).toEqual([
      'HEAD v1',
      `GET ${stale['docker-content-digest']}`,
      'GET v1',
    ])
  })

  it.each<[string, FaultAction]>([
    ['has no digest', { headers: { 'docker-content-digest': undefined } }],
    ['is refused with 401', { status: 401 }],
    ['is refused with 405', { status: 405 }],
  ])('is checked by GET where HEAD %s', async (_, action) => {
    registry.inject({ kind: 'manifest', method: 'HEAD', action })
    await start()
    expect((await mirror.head(TAG)).headers.get('docker-content-digest')).toBe(
      image.manifest.digest,
    )
    registry.add(REPOSITORY, newer, 'v1')
    await clock.advance(TTL)
    expect(await pull()).toMatchObject(fresh)
  })

  it('of an index gives clients that know no index its linux/amd64 image', async () => {
    const arm = buildImage({ seed: 'multi', platform: { os: 'linux', architecture: 'arm64' } })
    const amd = buildImage({ seed: 'multi', platform: { os: 'linux', architecture: 'amd64' } })
    const index = buildIndex([arm, amd])
    registry.add(REPOSITORY, index, 'multi')
    await start()
    const path = `/v2/${REPOSITORY}/manifests/multi`
    const before = { accept: amd.manifest.mediaType }
    for (const method of ['HEAD', 'GET']) {
      const response = await mirror.fetch(path, { method, headers: before })
      expect(response.headers.get('docker-content-digest')).toBe(amd.manifest.digest)
      await response.arrayBuffer()
    }
    expect(await pull(path)).toMatchObject({ digest: index.manifest.digest })
    const byDigest = await mirror.fetch(`/v2/${REPOSITORY}/manifests/${index.manifest.digest}`, {
      headers: before,
    })
    expect(byDigest.headers.get('docker-content-digest')).toBe(index.manifest.digest)
    await byDigest.arrayBuffer()
  })

  it('survives a restart with its time of checking', async () => {
    const dir = await makeTempDir()
    onTestFinished(dir.remove)
    const upstreams = { 'docker.io': { registry } }
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    await pull()
    await mirror.close()
    await clock.advance(TTL - 1)
    registry.reset()
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    expect(await pull()).toMatchObject({ ...old, how: 'hit' })
    expect(registry.requests).toEqual([])
  })
})
