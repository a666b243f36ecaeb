import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { seededBytes } from '../support/bytes.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import type { TestBlob } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import { RawExchange } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const REPOSITORY = 'library/app'
const MIB = 1024 * 1024
const WITHHELD = 32 * 1024

function testBlob(seed: string, size: number): TestBlob {
  const bytes = seededBytes(seed, size)
  return { bytes, size, digest: digestOf(bytes), mediaType: 'application/octet-stream' }
}

describe('a download', () => {
  const large = testBlob('large', 3 * MIB)
  const small = testBlob('small', 10_000)
  const pathOf = ({ digest }: TestBlob) => `/v2/${REPOSITORY}/blobs/${digest}`
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start({ redirect: {} })
    for (const blob of [large, small]) registry.addBlob(REPOSITORY, blob)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function digestAt(path: string): Promise<string> {
    const response = await mirror.fetch(path)
    expect(response.status).toBe(200)
    return digestOf(new Uint8Array(await response.arrayBuffer()))
  }

  /** How many bytes come before the answer ends, well or badly. */
  async function drain(response: Response): Promise<{ bytes: number; isComplete: boolean }> {
    let bytes = 0
    try {
      for await (const chunk of response.body ?? []) bytes += chunk.length
      return { bytes, isComplete: true }
    } catch {
      return { bytes, isComplete: false }
    }
  }

  const downloads = () => registry.count({ kind: 'blob', server: 'cdn' })

  it('gives its first byte while upstream is still sending, to those who come late too', async () => {
    const gate = registry.gate({ kind: 'blob', server: 'cdn', after: MIB })
    const first = await mirror.fetch(pathOf(large))
    expect(first.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; stored')
    await gate.reached
    const late = await mirror.fetch(pathOf(large))
    expect(late.headers.get('cache-status')).toBe('oci-mirror; fwd=miss; collapsed')
    for (const response of [first, late]) {
      const chunk = await response.body?.getReader({ mode: 'byob' }).read(new Uint8Array(1000))
      expect(Buffer.from(chunk?.value ?? [])).toEqual(Buffer.from(large.bytes.subarray(0, 1000)))
    }
    gate.open()
    await mirror.settle()
    expect(await digestAt(pathOf(large))).toBe(large.digest)
    expect(downloads()).toBe(1)
  })

  it('lands although the only client left', async () => {
    const gate = registry.gate({ kind: 'blob', server: 'cdn', after: MIB })
    const leaving = new AbortController()
    await mirror.fetch(pathOf(large), { signal: leaving.signal })
    await gate.reached
    leaving.abort()
    await expect.poll(() => mirror.records.length).toBe(1)
    expect(mirror.records[0]).toMatchObject({ isCut: true })
    gate.open()
    await mirror.settle()
    await registry.stop()
    expect(await digestAt(pathOf(large))).toBe(large.digest)
  })

  it('is not delayed by a client that reads nothing', async () => {
    const stalled = await RawExchange.open({ port: mirror.port, target: pathOf(large) })
    await stalled.head()
    expect(await digestAt(pathOf(large))).toBe(large.digest)
    await mirror.settle()
    expect(downloads()).toBe(1)
    stalled.leave()
  })

  it.each<[string, FaultAction]>([
    ['has one wrong byte', { corrupt: 'last' }],
    ['has a wrong byte in the middle', { corrupt: MIB }],
  ])('that %s ends short for everyone, and is not stored', async (_, action) => {
    registry.inject({ kind: 'blob', server: 'cdn', action })
    const all = await Promise.all([1, 2, 3].map(() => mirror.fetch(pathOf(large))))
    for (const response of all) {
      expect(response.status).toBe(200)
      expect(await drain(response)).toEqual({ bytes: large.size - WITHHELD, isComplete: false })
    }
    await mirror.settle()
    expect(await mirror.store.stat(large.digest)).toBeUndefined()
    expect(downloads()).toBe(1)
  })

  it('of a wrong body is not tried again for half a minute', async () => {
    registry.inject({ kind: 'blob', server: 'cdn', times: 1, action: { corrupt: 'last' } })
    await drain(await mirror.fetch(pathOf(large)))
    await mirror.settle()
    const refused = await mirror.fetch(pathOf(large))
    expect(refused.status).toBe(502)
    expect(await refused.json()).toMatchObject({
      errors: [{ code: 'UNKNOWN', detail: /are not sha256:/ }],
    })
    expect(downloads()).toBe(1)
    await clock.advance(30_001)
    expect(await digestAt(pathOf(large))).toBe(large.digest)
  })

  it.each<[string, FaultAction]>([
    ['a wrong body', { corrupt: 0 }],
    ['a web page', { body: '<html>log in</html>', headers: { 'content-type': 'text/html' } }],
    ['an empty body', { body: '', headers: { 'content-type': 'application/octet-stream' } }],
  ])('of a small blob with %s is a 502 before any byte', async (_, action) => {
    registry.inject({ kind: 'blob', server: 'cdn', action })
    const response = await mirror.fetch(pathOf(small))
    expect(response.status).toBe(502)
    await response.arrayBuffer()
    await mirror.settle()
    expect(await mirror.store.stat(small.digest)).toBeUndefined()
  })

  it('of a large blob that turns out to be a web page never completes', async () => {
    const page = '<html>'.repeat(400_000)
    registry.inject({
      kind: 'blob',
      server: 'cdn',
      action: { body: page, headers: { 'content-type': 'text/html' } },
    })
    const response = await mirror.fetch(pathOf(large))
    expect(response.status).toBe(502)
    await response.arrayBuffer()
    await mirror.settle()
    expect(await mirror.store.stat(large.digest)).toBeUndefined()
  })

  it.each(['fin', 'reset'] as const)(
    'that breaks (%s) goes on where it broke, from a fresh redirect',
    async (how) => {
      registry.inject({
        kind: 'blob',
        server: 'cdn',
        times: 1,
        action: { cut: { after: MIB, how } },
      })
      expect(await digestAt(pathOf(large))).toBe(large.digest)
      const asked = registry.requests.filter(({ kind }) => kind === 'blob')
      expect(asked.map(({ server }) => server)).toEqual(['registry', 'cdn', 'registry', 'cdn'])
      expect(asked.at(-1)?.headers['range']).toMatch(new RegExp(`^bytes=\\d+-${large.size - 1}$`))
    },
  )

  it('starts from the beginning, unseen by clients, where upstream ignores ranges', async () => {
    registry.inject({
      kind: 'blob',
      server: 'cdn',
      times: 1,
      action: { cut: { after: MIB, how: 'fin' } },
    })
    registry.inject({ kind: 'blob', server: 'cdn', action: { ignoreRange: true } })
    expect(await digestAt(pathOf(large))).toBe(large.digest)
  })

  it('works without being told the length', async () => {
    registry.inject({ kind: 'blob', server: 'cdn', action: { length: 'chunked' } })
    const response = await mirror.fetch(pathOf(large))
    expect(response.headers.get('content-length')).toBeNull()
    expect(digestOf(new Uint8Array(await response.arrayBuffer()))).toBe(large.digest)
  })

  it('without a length ends short when the body is wrong', async () => {
    registry.inject({ kind: 'blob', server: 'cdn', action: { length: 'chunked', corrupt: 'last' } })
    const { bytes, isComplete } = await drain(await mirror.fetch(pathOf(large)))
    expect(isComplete).toBe(false)
    expect(bytes).toBeLessThanOrEqual(large.size - WITHHELD)
  })

  it.each([
    [404, 404, 'BLOB_UNKNOWN'],
    [403, 503, 'UNAVAILABLE'],
    [429, 503, 'UNAVAILABLE'],
    [500, 503, 'UNAVAILABLE'],
  ])('that upstream answers with %i is a %i %s', async (status, expected, code) => {
    registry.inject({ kind: 'blob', action: { status } })
    const response = await mirror.fetch(pathOf(large))
    expect(response.status).toBe(expected)
    expect(await response.json()).toMatchObject({ errors: [{ code }] })
    expect(response.headers.get('retry-after') !== null).toBe(expected === 503)
    expect(response.headers.get('www-authenticate')).toBeNull()
  })

  it('that outlasts 20 seconds before its first byte is a 504, and lands for the next client', async () => {
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>()
    registry.inject({ kind: 'blob', server: 'registry', times: 1, action: { until: answered } })
    const waiting = mirror.fetch(pathOf(large))
    await expect.poll(() => clock.sleeping()).toBe(1)
    await clock.advance(20_000)
    expect((await waiting).status).toBe(504)
    answer()
    await mirror.settle()
    expect(await digestAt(pathOf(large))).toBe(large.digest)
    expect(downloads()).toBe(1)
  })

  it('whose size is not the one that its manifest states is refused before its body', async () => {
    const image = buildImage({ layers: 1, layerBytes: MIB })
    registry.add(REPOSITORY, image, 'v1')
    const [layer = image.config] = image.layers
    await (await mirror.fetch(`/v2/${REPOSITORY}/manifests/v1`)).arrayBuffer()
    registry.inject({
      kind: 'blob',
      server: 'cdn',
      action: { endless: true, length: layer.size + 1 },
    })
    const response = await mirror.fetch(pathOf(layer))
    expect(response.status).toBe(502)
    expect(await response.json()).toMatchObject({ errors: [{ detail: /its manifest states/ }] })
    await mirror.settle()
    registry.reset()
    expect(await digestAt(pathOf(layer))).toBe(layer.digest)
  })

  it('that is shorter than announced never completes', async () => {
    registry.inject({ kind: 'blob', server: 'cdn', action: { length: large.size + 1 } })
    const response = await mirror.fetch(pathOf(large))
    expect((await drain(response)).isComplete).toBe(false)
    await mirror.settle()
    expect(await mirror.store.stat(large.digest)).toBeUndefined()
  })

  it('of the empty blob is not taken for a missing one', async () => {
    const empty = testBlob('empty', 0)
    registry.addBlob(REPOSITORY, empty)
    expect(await digestAt(pathOf(empty))).toBe(empty.digest)
    await mirror.settle()
    await registry.stop()
    expect(await digestAt(pathOf(empty))).toBe(empty.digest)
    expect((await mirror.head(pathOf(empty))).headers.get('content-length')).toBe('0')
  })

  it('of a damaged file is a download again', async () => {
    await digestAt(pathOf(large))
    await mirror.settle()
    const { truncate, chmod } = await import('node:fs/promises')
    const hex = large.digest.slice(7)
    const file = `${mirror.dir}/blobs/sha256/${hex.slice(0, 2)}/${hex}`
    await chmod(file, 0o600)
    await truncate(file, 5)
    expect(await digestAt(pathOf(large))).toBe(large.digest)
    expect(downloads()).toBe(2)
    await mirror.settle()
    expect(await digestAt(pathOf(large))).toBe(large.digest)
    expect(downloads()).toBe(2)
  })
})
