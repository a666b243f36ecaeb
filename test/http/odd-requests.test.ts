import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { readParts } from '../support/byte-ranges.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage, buildIndex } from '../support/images.ts'
import { RawExchange, rawRequest } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const SIZE = 24 * MIB
const layer = buildBlob('odd requests', SIZE)
const bytes = Buffer.from(layer.bytes)
const image = buildImage({ seed: 'odd requests' })
const LAYER = `/v2/library/app/blobs/${layer.digest}`
const MANIFEST = '/v2/library/app/manifests/v1'

/** What well-meaning clients do at their worst: whatever it is, nobody else notices. */
describe('a client', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', image, 'v1')
    registry.addBlob('library/app', layer)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function fetchBytes(target: string): Promise<Buffer> {
    const response = await mirror.fetch(target)
    expect(response.status).toBe(200)
    return Buffer.from(await response.arrayBuffer())
  }

  describe('that asks for many pieces and leaves in the middle of one', () => {
    // The second piece is larger than what TCP holds, and the download waits in it.
    const list = `bytes=10-19,${MIB}-${SIZE - MIB},5-9`
    const read = 2 * MIB

    async function leaveInTheMiddle(how: 'fin' | 'reset'): Promise<void> {
      const headers = [['Range', list]] as const
      const leaving = await RawExchange.open({ port: mirror.port, target: LAYER, headers })
      expect((await leaving.head()).status).toBe(206)
      expect((await leaving.read(read)).length).toBeGreaterThanOrEqual(read)
      leaving.leave(how)
    }

    it.each(['fin', 'reset'] as const)('(%s) leaves the download to others', async (how) => {
      const gate = registry.gate({ kind: 'blob', reference: layer.digest, after: 4 * MIB })
      const other = mirror.fetch(LAYER, { headers: { range: list } })
      await leaveInTheMiddle(how)
      await expect.poll(() => mirror.records).toHaveLength(1)
      expect(mirror.records[0]).toMatchObject({ status: 206, isCut: true, subject: {} })
      expect(mirror.records[0]?.subject.error).toBeUndefined()
      expect(await mirror.spooled()).toHaveLength(1)
      gate.open()
      const response = await other
      const body = Buffer.from(await response.arrayBuffer())
      const parts = readParts(response.headers.get('content-type'), body)
      expect(parts.map((part) => part.body.length)).toEqual([10, SIZE - 2 * MIB + 1, 5])
      await mirror.settle()
      expect((await fetchBytes(LAYER)).equals(bytes)).toBe(true)
      expect(registry.count({ kind: 'blob' })).toBe(1)
      await expect.poll(() => mirror.openFiles()).toBe(0)
    })

    it.each(['fin', 'reset'] as const)('(%s) of a stored layer closes it', async (how) => {
      await fetchBytes(LAYER)
      await mirror.settle()
      for (let n = 1; n <= 8; n += 1) {
        await leaveInTheMiddle(how)
        await expect.poll(() => mirror.records).toHaveLength(1 + n)
        await expect.poll(() => mirror.openFiles()).toBe(0)
      }
      expect(mirror.records.flatMap(({ subject }) => subject.error ?? [])).toEqual([])
      expect((await fetchBytes(LAYER)).equals(bytes)).toBe(true)
    })
  })

  describe('that asks for a manifest of 5 MiB', () => {
    /** A manifest in every respect but its size. */
    function largeManifest(): TestBlob {
      const text = Buffer.from(image.manifest.bytes).toString()
      const annotations = { 'org.example.padding': 'x'.repeat(5 * MIB) }
      const padded = Buffer.from(JSON.stringify({ ...JSON.parse(text), annotations }))
      const digest = digestOf(padded)
      return { mediaType: OCI_MANIFEST, digest, size: padded.length, bytes: padded }
    }

    const large = largeManifest()

    async function expectRefusal(path: string): Promise<void> {
      const { status, headers, body } = await rawRequest({ port: mirror.port, target: path })
      expect(status).toBe(502)
      expect(headers['retry-after']).toBeUndefined()
      const { errors } = JSON.parse(body.toString()) as { errors: { detail: string }[] }
      expect(errors[0]?.detail).toMatch(/^GET .* sent a manifest of more than 4194304 bytes/)
    }

    beforeEach(() => registry.addManifest('library/app', large, 'large'))

    it.each(['large', large.digest])('(%s) is told why it gets none', async (reference) => {
      const path = `/v2/library/app/manifests/${reference}`
      await expectRefusal(path)
      expect((await mirror.head(path)).status).toBe(502)
      expect(await Array.fromAsync(mirror.store.list())).toEqual([])
      await mirror.settle()
    })

    it('is told so too when those bytes are here as a blob', async () => {
      registry.addBlob('library/app', large)
      const body = await fetchBytes(`/v2/library/app/blobs/${large.digest}`)
      expect(body.equals(Buffer.from(large.bytes))).toBe(true)
      await mirror.settle()
      await expectRefusal(`/v2/library/app/manifests/${large.digest}`)
    })

    it('gets the rest of the index that names it', async () => {
      const index = buildIndex([image, { ...image, manifest: large }])
      registry.add('library/app', index, 'index')
      const indexBytes = await fetchBytes('/v2/library/app/manifests/index')
      expect(indexBytes.equals(Buffer.from(index.manifest.bytes))).toBe(true)
      const path = `/v2/library/app/manifests/${image.manifest.digest}`
      expect((await fetchBytes(path)).equals(Buffer.from(image.manifest.bytes))).toBe(true)
      await expectRefusal(`/v2/library/app/manifests/${large.digest}`)
    })
  })

  describe('that sends an Authorization', () => {
    it.each([
      ['', ['']],
      ['that is no scheme', ['🙈\xff\xfe']],
      ['Basic without anything', ['Basic']],
      ['Basic that is no base64', ['Basic %%%']],
      ['Basic without a colon', [`Basic ${btoa('ann')}`]],
      ['Basic of bytes that are no text', [`Basic ${btoa('\xff\xfe:\x00\x01')}`]],
      ['Bearer that is no token', ['Bearer {"a":1}']],
      ['Negotiate', ['Negotiate YIIJvwYGKwYBBQUC']],
      ['of 60 kB', [`Bearer ${'a'.repeat(60_000)}`]],
      ['twice', [`Basic ${btoa('a:b')}`, 'Bearer c']],
    ])('%s is answered as anybody is, and upstream sees nothing of it', async (_, values) => {
      const headers = values.map((value) => ['Authorization', value] as const)
      for (const target of ['/v2/', MANIFEST]) {
        const { status } = await rawRequest({ port: mirror.port, target, headers })
        expect([target, status]).toEqual([target, 200])
      }
      expect(registry.requests.map((request) => request.headers['authorization'])).toEqual([
        undefined,
      ])
    })

    it('of more than 64 KiB is told that it is too much', async () => {
      const headers = [['Authorization', `Bearer ${'a'.repeat(70_000)}`]] as const
      const { status, body } = await rawRequest({ port: mirror.port, target: '/v2/', headers })
      expect(status).toBe(431)
      expect(JSON.parse(body.toString())).toMatchObject({
        errors: [{ code: 'UNSUPPORTED', detail: 'the request has too many header bytes' }],
      })
      expect(registry.socketsOpened()).toBe(0)
    })
  })

  it.each(['/v2/token', '/token', '/v2/auth', '/service/token', '/v1/users/'])(
    'that logs in at %s finds no such place',
    async (path) => {
      const target = `${path}?service=mirror&scope=repository:library/app:pull`
      const headers = [['Authorization', `Basic ${btoa('ann:secret')}`]] as const
      const { status, headers: answered } = await rawRequest({ port: mirror.port, target, headers })
      expect(status).toBe(404)
      expect(answered['www-authenticate']).toBeUndefined()
      expect(registry.socketsOpened()).toBe(0)
    },
  )

  it('that reads a stored layer very slowly holds up nobody', async () => {
    await fetchBytes(LAYER)
    await mirror.settle()
    const slow = await Promise.all(
      Array.from({ length: 20 }, () => RawExchange.open({ port: mirror.port, target: LAYER })),
    )
    const begun = await Promise.all(slow.map((reader) => reader.read(1)))
    expect((await fetchBytes(LAYER)).equals(bytes)).toBe(true)
    expect((await fetchBytes(MANIFEST)).equals(Buffer.from(image.manifest.bytes))).toBe(true)
    const more = await Promise.all(slow.map((reader) => reader.read(MIB)))
    for (const [index, reader] of slow.entries()) {
      const read = Buffer.concat([begun[index] ?? Buffer.of(), more[index] ?? Buffer.of()])
      expect(read.length).toBeGreaterThan(MIB)
      expect(read.equals(bytes.subarray(0, read.length))).toBe(true)
      reader.leave()
    }
    await expect.poll(() => mirror.openFiles()).toBe(0)
  })
})
