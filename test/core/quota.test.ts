import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QuotaLimits } from '../../src/core/room.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/reference.ts'
import type { Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { seededBytes } from '../support/bytes.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'

const SIZE = 100_000
const blobs = ['a', 'b', 'c', 'd'].map((seed): TestBlob => {
  const bytes = seededBytes(seed, SIZE)
  return { bytes, size: SIZE, digest: digestOf(bytes), mediaType: '' }
})
const [a, b, c, d] = blobs as [TestBlob, TestBlob, TestBlob, TestBlob]

describe('the quota', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  const clock = new ManualClock()

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    for (const blob of blobs) registry.addBlob('acme/app', blob)
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function start(limits: QuotaLimits, fs: Fs = nodeFs): Promise<void> {
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock, limits, fs })
  }

  async function pull({ digest }: TestBlob): Promise<number> {
    await clock.advance(1000)
    const response = await mirror.fetch(`/v2/acme/app/blobs/${digest}`)
    await response.arrayBuffer()
    await mirror.settle()
    return response.status
  }

  const kept = async () => {
    const stored = await Array.fromAsync(mirror.store.list())
    return blobs.filter(({ digest }) => stored.some((blob) => blob.digest === digest))
  }

  it('makes room by evicting what was used longest ago', async () => {
    await start({ maxSize: 3 * SIZE, minFree: { bytes: 0 } })
    for (const blob of [a, b, c, a]) expect(await pull(blob)).toBe(200)
    expect(await pull(d)).toBe(200)
    expect(await kept()).toEqual([a, c, d])
    expect((await mirror.catalog.totals()).bytes).toBe(3 * SIZE)
    expect(await pull(b)).toBe(200)
    expect(await kept()).toEqual([a, b, d])
  })

  it('evicts nothing for what could never fit, and passes it on', async () => {
    const huge = buildBlob('huge', 3 * SIZE + 1)
    registry.addBlob('acme/app', huge)
    await start({ maxSize: 3 * SIZE, minFree: { bytes: 0 } })
    await pull(a)
    const response = await mirror.fetch(`/v2/acme/app/blobs/${huge.digest}`)
    expect(response.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; detail=no-room')
    expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(huge.digest)
    await mirror.settle()
    expect(await kept()).toEqual([a])
    expect(mirror.mirror.disk).toEqual({ kind: 'ok' })
  })

  it('does not call the disk full for what is larger than its limit, or than the volume', async () => {
    const [over, vast] = [3, 11].map((times) => buildBlob(`${times} times`, times * SIZE))
    const total = 10 * SIZE
    const fs: Fs = { ...nodeFs, space: async () => ({ total, free: SIZE }) }
    await start({ maxSize: 2 * SIZE, minFree: { bytes: 0 } }, fs)
    for (const blob of [over, vast]) {
      if (blob === undefined) continue
      registry.addBlob('acme/app', blob)
      // What fits lands in between, which would be news of a disk in trouble.
      for (const one of [blob, a]) expect(await pull(one)).toBe(200)
      expect(mirror.mirror.disk).toEqual({ kind: 'ok' })
    }
    expect(mirror.logs.filter(({ level }) => level !== 'debug')).toEqual([])
    expect(await kept()).toEqual([a])
    await expectIntact(mirror)
  })

  it('never evicts what is pinned, which other blobs make room for in their order', async () => {
    const image = buildImage({ layers: 1, layerBytes: SIZE })
    const [layer = image.config] = image.layers
    registry.add('acme/app', image, 'v1')
    await start({ maxSize: 3.5 * SIZE, minFree: { bytes: 0 } })
    await (await mirror.fetch('/v2/acme/app/manifests/v1')).arrayBuffer()
    for (const blob of [image.config, layer]) await pull(blob)
    await mirror.maintenance.pin({ references: ['docker.io/acme/app:v1'], all: false })
    for (const blob of [a, b, c, d]) expect(await pull(blob)).toBe(200)
    expect(await kept()).toEqual([c, d])
    for (const { digest } of [image.manifest, image.config, layer]) {
      expect(await mirror.store.stat(digest)).toBeDefined()
    }
    const large = buildBlob('beside the pinned', 3 * SIZE)
    registry.addBlob('acme/app', large)
    expect(await pull(large)).toBe(200)
    expect(await kept()).toEqual([c, d])
    await mirror.maintenance.unpin({ references: ['docker.io/acme/app:v1'], all: false })
    expect(await pull(large)).toBe(200)
    expect(await mirror.store.stat(layer.digest)).toBeUndefined()
    await expectIntact(mirror)
  })

  it('never evicts what is being read, and evicts nothing if the rest is not enough', async () => {
    await start({ maxSize: 2 * SIZE, minFree: { bytes: 0 } })
    await pull(a)
    await pull(b)
    const repository = { upstream: 'docker.io', name: 'acme/app' } as Repository
    const open = ({ digest }: TestBlob) =>
      mirror.mirror.openBlob(
        { repository, digest, ranges: undefined },
        { kind: 'anonymous' },
        new AbortController().signal,
      )
    const reading = await open(a)
    const double = buildBlob('double', 2 * SIZE)
    registry.addBlob('acme/app', double)
    expect(await pull(double)).toBe(200)
    expect(await kept()).toEqual([a, b])
    expect(await pull(c)).toBe(200)
    expect(await kept()).toEqual([a, c])
    await reading.blob.close()
    expect(await pull(d)).toBe(200)
    expect(await kept()).toEqual([c, d])
  })

  it('takes using a manifest for using what it names', async () => {
    const image = buildImage({ layers: 1, layerBytes: SIZE })
    const [layer = image.config] = image.layers
    registry.add('acme/app', image, 'v1')
    await start({ maxSize: 3 * SIZE, minFree: { bytes: 0 } })
    for (const blob of [image.config, layer, a]) await pull(blob)
    await clock.advance(1000)
    await (await mirror.fetch('/v2/acme/app/manifests/v1')).arrayBuffer()
    expect(await pull(c)).toBe(200)
    expect(await mirror.store.stat(layer.digest)).toBeDefined()
    expect(await kept()).not.toContain(a)
  })

  it('forgets what an evicted manifest said, and a tag that points at it is pulled again', async () => {
    const image = buildImage({ layers: 1 })
    registry.add('acme/app', image, 'v1')
    await start({ maxSize: 2 * SIZE, minFree: { bytes: 0 } })
    const path = '/v2/acme/app/manifests/v1'
    await (await mirror.fetch(path)).arrayBuffer()
    const repository = { upstream: 'docker.io', name: 'acme/app' } as Repository
    expect((await mirror.catalog.holding(repository, image.config.digest)).statedSize).toBeDefined()
    for (const blob of [a, b]) await pull(blob)
    expect(await mirror.store.stat(image.manifest.digest)).toBeUndefined()
    expect((await mirror.catalog.holding(repository, image.config.digest)).statedSize).toBe(
      undefined,
    )
    const again = await mirror.fetch(path)
    expect(digestOf(new Uint8Array(await again.arrayBuffer()))).toBe(image.manifest.digest)
  })

  it('leaves so many inodes as it leaves bytes', async () => {
    // A volume for ten files, of which two belong to others and five have to stay free.
    let stored = 0
    const fs: Fs = {
      ...nodeFs,
      space: async () => ({
        total: 10 * SIZE,
        free: 9 * SIZE,
        inodes: { total: 10, free: 8 - stored },
      }),
      async rename(from, to) {
        await nodeFs.rename(from, to)
        stored += 1
      },
      async unlink(path) {
        await nodeFs.unlink(path)
        stored -= 1
      },
    }
    await start({ maxSize: undefined, minFree: { ratio: 0.5 } }, fs)
    for (const blob of [a, b, c, d]) expect(await pull(blob)).toBe(200)
    expect(await kept()).toEqual([b, c, d])
  })

  it('evicts a little more than it needs, so that not every pull has to', async () => {
    const tiny = ['t', 'u', 'v'].map((seed) => buildBlob(seed, SIZE / 100))
    for (const blob of tiny) registry.addBlob('acme/app', blob)
    await start({ maxSize: 2 * SIZE, minFree: { bytes: 0 } })
    for (const blob of tiny) await pull(blob)
    await pull(a)
    await pull(b)
    const { blobs: left } = await mirror.catalog.totals()
    expect(left).toBe(2)
  })

  it('tells at its start that there is less room than it has to leave', async () => {
    const fs: Fs = { ...nodeFs, space: async () => ({ total: 1000, free: 50 }) }
    await start({ maxSize: undefined, minFree: { ratio: 0.1 } }, fs)
    expect(mirror.logs).toMatchObject([{ level: 'warn', message: /less free disk space/ }])
  })

  it('leaves the volume the room that it was told to leave', async () => {
    // A volume of ten blobs, of which three belong to others.
    const used = async () => {
      let bytes = 3 * SIZE
      for await (const { size } of mirror.store.list()) bytes += size
      return bytes
    }
    const fs: Fs = {
      ...nodeFs,
      space: async () => ({ total: 10 * SIZE, free: 10 * SIZE - (await used()) }),
    }
    await start({ maxSize: undefined, minFree: { ratio: 0.5 } }, fs)
    for (const blob of [a, b, c, d]) expect(await pull(blob)).toBe(200)
    expect(await kept()).toEqual([c, d])
  })

  it('serves a blob to the end although it is evicted meanwhile', async () => {
    await start({ maxSize: SIZE, minFree: { bytes: 0 } })
    await pull(a)
    const blob = await mirror.store.open(a.digest)
    expect(await pull(b)).toBe(200)
    expect(await kept()).toEqual([b])
    let bytes = 0
    const count = async (chunk: Uint8Array) => {
      bytes += chunk.length
    }
    await blob?.pump({ start: 0, end: SIZE }, count, new AbortController().signal)
    await blob?.close()
    expect(bytes).toBe(SIZE)
  })

  it('holds while many downloads run at once', async () => {
    await start({ maxSize: 2 * SIZE, minFree: { bytes: 0 } })
    const responses = await Promise.all(
      blobs.map(({ digest }) => mirror.fetch(`/v2/acme/app/blobs/${digest}`)),
    )
    for (const response of responses) await response.arrayBuffer()
    await mirror.settle()
    expect((await mirror.catalog.totals()).bytes).toBeLessThanOrEqual(2 * SIZE)
    // Who found no room while the others were under way finds it afterwards.
    for (const blob of blobs) expect(await pull(blob)).toBe(200)
  })

  it('finishes at its next start what a crash left half evicted', async () => {
    await start({ maxSize: undefined, minFree: { bytes: 0 } })
    await pull(a)
    await mirror.catalog.entomb(a.digest)
    await mirror.mirror.recover()
    expect(await kept()).toEqual([])
    expect(await mirror.catalog.totals()).toEqual({ bytes: 0, blobs: 0 })
    expect(await pull(a)).toBe(200)
  })
})
