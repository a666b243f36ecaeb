import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'

const REPOSITORY = 'library/app'
const TAG = `/v2/${REPOSITORY}/manifests/v1`
const FIVE_MINUTES = 5 * 60_000

/** How many requests reach upstream, whatever clients do. */
describe('the request budget', () => {
  const image = buildImage({ layers: 2, layerBytes: 2_000_000 })
  const newer = buildImage({ seed: 'newer' })
  const [layer = image.config] = image.layers
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start({ auth: { kind: 'token' } })
    registry.add(REPOSITORY, image, 'v1')
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  const blob = (digest: string) => `/v2/${REPOSITORY}/blobs/${digest}`
  const byDigest = `/v2/${REPOSITORY}/manifests/${image.manifest.digest}`

  async function bodyOf(path: string): Promise<string> {
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  /** Requests that upstream answered with content, by kind: challenges are not counted. */
  function asked() {
    const answered = registry.requests.filter(({ status }) => status !== 401)
    const of = (kind: string, method: string) =>
      answered.filter((request) => request.kind === kind && request.method === method).length
    return {
      head: of('manifest', 'HEAD'),
      get: of('manifest', 'GET'),
      blob: of('blob', 'GET') + of('blob', 'HEAD'),
      token: of('token', 'GET'),
    }
  }

  it('spends one HEAD and one token on the HEAD of a cold tag', async () => {
    const response = await mirror.head(TAG)
    expect(response.status).toBe(200)
    expect(response.headers.get('docker-content-digest')).toBe(image.manifest.digest)
    expect(response.headers.get('content-type')).toBe(OCI_MANIFEST)
    expect(response.headers.get('content-length')).toBe(String(image.manifest.size))
    expect(asked()).toEqual({ head: 1, get: 0, blob: 0, token: 1 })
  })

  it('spends one GET on the GET of a cold tag', async () => {
    expect(await bodyOf(TAG)).toBe(image.manifest.digest)
    expect(asked()).toEqual({ head: 0, get: 1, blob: 0, token: 1 })
  })

  it('spends a HEAD and a GET on what containerd does: HEAD by tag, GET by digest', async () => {
    await mirror.head(TAG)
    await bodyOf(byDigest)
    await mirror.head(TAG)
    await bodyOf(TAG)
    expect(asked()).toEqual({ head: 1, get: 1, blob: 0, token: 1 })
  })

  it('spends nothing on a tag within its time to live, nor on stored digests', async () => {
    await bodyOf(TAG)
    await bodyOf(blob(layer.digest))
    await mirror.settle()
    registry.reset()
    await registry.stop()
    await clock.advance(FIVE_MINUTES - 1)
    expect(await bodyOf(TAG)).toBe(image.manifest.digest)
    expect((await mirror.head(TAG)).status).toBe(200)
    expect(await bodyOf(byDigest)).toBe(image.manifest.digest)
    expect(await bodyOf(blob(layer.digest))).toBe(layer.digest)
    expect((await mirror.head(blob(layer.digest))).headers.get('content-length')).toBe(
      String(layer.size),
    )
    // containerd asks for manifests below /blobs/ too.
    expect(await bodyOf(blob(image.manifest.digest))).toBe(image.manifest.digest)
    expect(registry.requests).toEqual([])
    await registry.restart()
  })

  it('spends one HEAD on an expired tag that has not moved', async () => {
    await bodyOf(TAG)
    await clock.advance(FIVE_MINUTES)
    registry.reset()
    const response = await mirror.fetch(TAG)
    expect(response.headers.get('cache-status')).toBe('oci-mirror; hit; detail=revalidated')
    await response.arrayBuffer()
    await bodyOf(TAG)
    expect(asked()).toEqual({ head: 1, get: 0, blob: 0, token: 0 })
  })

  it('spends a HEAD and a GET on an expired tag that has moved', async () => {
    await bodyOf(TAG)
    registry.add(REPOSITORY, newer, 'v1')
    await clock.advance(FIVE_MINUTES)
    registry.reset()
    expect(await bodyOf(TAG)).toBe(newer.manifest.digest)
    expect(await bodyOf(TAG)).toBe(newer.manifest.digest)
    expect(asked()).toEqual({ head: 1, get: 1, blob: 0, token: 0 })
  })

  it('spends one GET however many clients ask for one cold tag, manifest or blob', async () => {
    const many = <T>(task: () => Promise<T>) => Promise.all(Array.from({ length: 20 }, task))
    await many(() => bodyOf(TAG))
    expect(asked()).toMatchObject({ get: 1, head: 0, token: 1 })
    await many(() => bodyOf(blob(layer.digest)))
    expect(asked()).toMatchObject({ blob: 1 })
    registry.add(REPOSITORY, newer)
    await many(() => bodyOf(`/v2/${REPOSITORY}/manifests/${newer.manifest.digest}`))
    expect(asked()).toMatchObject({ get: 2, head: 0, token: 1 })
    await clock.advance(FIVE_MINUTES)
    await many(() => mirror.head(TAG))
    expect(asked()).toMatchObject({ get: 2, head: 1 })
  })

  it('spends at most one byte on the HEAD of a cold blob', async () => {
    const size = String(layer.size)
    expect((await mirror.head(blob(layer.digest))).headers.get('content-length')).toBe(size)
    expect(asked().blob).toBe(1)
    const proof = registry.requests.find(({ kind, status }) => kind === 'blob' && status === 206)
    expect(proof?.bytesSent).toBe(1)
    // A manifest that is here states the size: then it costs nothing.
    await bodyOf(TAG)
    registry.reset()
    expect((await mirror.head(blob(image.config.digest))).headers.get('content-length')).toBe(
      String(image.config.size),
    )
    expect(registry.requests).toEqual([])
  })

  it('spends no second download on a client that leaves half-way', async () => {
    const gate = registry.gate({ kind: 'blob', after: 500_000 })
    const leaving = new AbortController()
    const response = await mirror.fetch(blob(layer.digest), { signal: leaving.signal })
    await gate.reached
    await response.body?.getReader().read()
    leaving.abort()
    const other = bodyOf(blob(layer.digest))
    gate.open()
    expect(await other).toBe(layer.digest)
    await mirror.settle()
    expect(await bodyOf(blob(layer.digest))).toBe(layer.digest)
    expect(asked().blob).toBe(1)
  })

  it('spends nothing on the children of an index until they are asked for', async () => {
    const images = ['amd64', 'arm64'].map((architecture) =>
      buildImage({ seed: 'multi', platform: { os: 'linux', architecture } }),
    )
    const index = buildIndex(images)
    registry.add(REPOSITORY, index, 'multi')
    expect(await bodyOf(`/v2/${REPOSITORY}/manifests/multi`)).toBe(index.manifest.digest)
    expect(asked()).toMatchObject({ get: 1, blob: 0 })
  })

  it('remembers for a moment what does not exist', async () => {
    const missing = `/v2/${REPOSITORY}/manifests/nothing`
    expect((await mirror.fetch(missing)).status).toBe(404)
    registry.reset()
    expect((await mirror.fetch(missing)).status).toBe(404)
    expect((await mirror.head(missing)).status).toBe(404)
    expect(registry.requests).toEqual([])
    registry.add(REPOSITORY, image, 'nothing')
    await clock.advance(10_001)
    expect((await mirror.fetch(missing)).status).toBe(200)
  })
})
