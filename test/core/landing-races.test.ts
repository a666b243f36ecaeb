import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { RepositoryName, Tag, UpstreamName } from '../../src/oci/reference.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { seededBytes } from '../support/bytes.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024

function testBlob(seed: string, size: number): TestBlob {
  const bytes = seededBytes(seed, size)
  return { bytes, size, digest: digestOf(bytes), mediaType: '' }
}

/** Requests that come at the moment in which something else begins or ends. */
describe('at the wrong moment', () => {
  const large = testBlob('large', 3 * MIB)
  const image = buildImage({ layers: 1 })
  const blobPath = ({ digest }: TestBlob, repository = 'acme/app') =>
    `/v2/${repository}/blobs/${digest}`
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start()
    registry.addBlob('acme/app', large)
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function start(options: Partial<TestMirrorOptions> = {}): Promise<void> {
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock, ...options })
  }

  async function digestAt(path: string): Promise<string> {
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  it('a client that comes while a blob is being moved to its place waits for it', async () => {
    const moving = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const fs: Fs = {
      ...nodeFs,
      async rename(from, to) {
        moving.resolve()
        await released.promise
        await nodeFs.rename(from, to)
      },
    }
    await start({ fs })
    const leaving = new AbortController()
    const gate = registry.gate({ kind: 'blob', after: MIB })
    await mirror.fetch(blobPath(large), { signal: leaving.signal })
    await gate.reached
    leaving.abort()
    await expect.poll(() => mirror.records.length).toBe(1)
    gate.open()
    await moving.promise
    const second = digestAt(blobPath(large))
    await new Promise((resolve) => setTimeout(resolve, 50))
    released.resolve()
    expect(await second).toBe(large.digest)
    expect(registry.count({ kind: 'blob' })).toBe(1)
  })

  it('twenty tags of one image that land together are all kept', async () => {
    const tags = Array.from({ length: 20 }, (_, n) => `v${n}`)
    for (const tag of tags) registry.add('acme/app', image, tag)
    await start()
    await Promise.all(tags.map((tag) => digestAt(`/v2/acme/app/manifests/${tag}`)))
    const repository = { upstream: 'docker.io' as UpstreamName, name: 'acme/app' as RepositoryName }
    for (const tag of tags) {
      const row = await mirror.catalog.resolve(repository, tag as Tag)
      expect([tag, row?.manifest.digest]).toEqual([tag, image.manifest.digest])
    }
    expect(mirror.logs.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('a client that closes its half of the connection leaves nothing open', async () => {
    await start()
    await digestAt(blobPath(large))
    await mirror.settle()
    const socket = connect(mirror.port, '127.0.0.1')
    const request = `GET ${blobPath(large)} HTTP/1.1\r\nHost: a\r\n\r\n`
    socket.write(request.repeat(20))
    await new Promise((resolve) => socket.once('readable', resolve))
    socket.end()
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    await expect.poll(() => mirror.openFiles()).toBe(0)
  })

  it('a tag that was asked for by HEAD and pulled by digest survives a restart', async () => {
    registry.add('acme/app', image, 'v1')
    const dir = await makeTempDir()
    onTestFinished(dir.remove)
    const upstreams = { 'docker.io': { registry } }
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    await mirror.head('/v2/acme/app/manifests/v1')
    await digestAt(`/v2/acme/app/manifests/${image.manifest.digest}`)
    await mirror.close()
    await registry.stop()
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    const head = await mirror.head('/v2/acme/app/manifests/v1')
    expect(head.headers.get('docker-content-digest')).toBe(image.manifest.digest)
    expect(await digestAt('/v2/acme/app/manifests/v1')).toBe(image.manifest.digest)
    await registry.restart()
  })

  it('a tag that moved to a manifest that is here already survives a restart as moved', async () => {
    const newer = buildImage({ seed: 'newer' })
    registry.add('acme/app', newer, 'v2')
    registry.add('acme/app', image, 'v1')
    const dir = await makeTempDir()
    onTestFinished(dir.remove)
    const upstreams = { 'docker.io': { registry } }
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    for (const tag of ['v1', 'v2']) await digestAt(`/v2/acme/app/manifests/${tag}`)
    registry.setTag('acme/app', 'v1', newer.manifest.digest)
    await clock.advance(5 * 60_000)
    await mirror.head('/v2/acme/app/manifests/v1')
    await mirror.close()
    await registry.stop()
    mirror = await TestMirror.start({ upstreams, clock }, dir)
    expect(await digestAt('/v2/acme/app/manifests/v1')).toBe(newer.manifest.digest)
    await registry.restart()
  })

  it('a client that has left when its blob is refused is nobody to tell', async () => {
    await start()
    registry.inject({ kind: 'blob', action: { corrupt: 'last' } })
    await mirror
      .fetch(blobPath(large))
      .then((response) => response.arrayBuffer())
      .catch(() => {})
    await mirror.settle()
    const repository = { upstream: 'docker.io' as UpstreamName, name: 'acme/app' as RepositoryName }
    const request = { repository, digest: large.digest, ranges: undefined }
    const gone = AbortSignal.abort(new Error('left'))
    await expect(mirror.mirror.openBlob(request, { kind: 'anonymous' }, gone)).rejects.toThrow(
      'left',
    )
    // An unhandled rejection would end this test run.
    await new Promise((resolve) => setTimeout(resolve, 20))
  })

  it("one repository's refusal is not another's", async () => {
    await start()
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    registry.inject({ kind: 'blob', repository: 'acme/evil', action: { until: answered } })
    const evil = mirror.fetch(blobPath(large, 'acme/evil'))
    await expect.poll(() => registry.count({ repository: 'acme/evil' })).toBe(1)
    const good = digestAt(blobPath(large))
    await expect.poll(() => registry.count({ repository: 'acme/app' })).toBe(1)
    answer()
    expect((await evil).status).toBe(404)
    expect(await good).toBe(large.digest)
    expect(await digestAt(blobPath(large))).toBe(large.digest)
  })

  it('a download under way is not counted twice against the room that is left', async () => {
    // A volume of 5 MiB, of which 1 MiB has to stay free: 3 MiB are on their way, 1 MiB is left.
    const small = testBlob('small', MIB / 2)
    registry.addBlob('acme/app', small)
    let written = 0
    const fs: Fs = {
      ...nodeFs,
      space: async () => ({ total: 5 * MIB, free: 5 * MIB - written }),
    }
    await start({ fs, limits: { maxSize: undefined, minFree: { bytes: MIB } } })
    const gate = registry.gate({ kind: 'blob', after: 2.5 * MIB })
    const first = await mirror.fetch(blobPath(large))
    await gate.reached
    written = 2.5 * MIB
    registry.reset()
    await expect.poll(async () => (await mirror.fetch(blobPath(small))).status).toBe(200)
    gate.open()
    expect(digestOf(new Uint8Array(await first.arrayBuffer()))).toBe(large.digest)
  })

  it('a tag that is gone and kept is asked about once in a while, not each time', async () => {
    registry.add('acme/app', image, 'v1')
    await start({ upstreams: { 'docker.io': { registry, tags: { onGone: 'keep' } } } })
    await digestAt('/v2/acme/app/manifests/v1')
    registry.deleteTag('acme/app', 'v1')
    await clock.advance(5 * 60_000)
    registry.requests.length = 0
    for (const _ of [1, 2, 3, 4, 5]) await digestAt('/v2/acme/app/manifests/v1')
    expect(registry.requests).toHaveLength(1)
  })

  it('a tag that turns out to be gone in the background is gone for the next client', async () => {
    registry.add('acme/app', image, 'v1')
    const tags = { staleWhileRevalidate: 60_000 }
    await start({ upstreams: { 'docker.io': { registry, tags } } })
    await digestAt('/v2/acme/app/manifests/v1')
    registry.deleteTag('acme/app', 'v1')
    await clock.advance(5 * 60_000)
    await digestAt('/v2/acme/app/manifests/v1')
    await expect.poll(async () => (await mirror.head('/v2/acme/app/manifests/v1')).status).toBe(404)
  })
})
