import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QuotaLimits } from '../../src/core/quota.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'
import { seededBytes } from '../support/bytes.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
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

  it('evicts nothing for what could never fit', async () => {
    await start({ maxSize: SIZE - 1, minFree: { bytes: 0 } })
    const response = await mirror.fetch(`/v2/acme/app/blobs/${a.digest}`)
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({
      errors: [{ code: 'UNAVAILABLE', detail: /no room for 100000 bytes/ }],
    })
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
