import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Part } from '../support/byte-ranges.ts'
import { readParts } from '../support/byte-ranges.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import type { RawHead } from '../support/raw-request.ts'
import { RawExchange } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const SIZE = 6 * MIB
const layer = buildBlob('lazy pullers', SIZE)
const bytes = Buffer.from(layer.bytes)
const FILTER = { kind: 'blob', reference: layer.digest } as const
const UNVERIFIED = 'oci-mirror; fwd=miss; detail=unverified'

/** As each client writes it: with the registry in the query, in the path, or not at all. */
const BLOB = `library/app/blobs/${layer.digest}`
const WITH_NS = `/v2/${BLOB}?ns=docker.io`
const WITH_PREFIX = `/v2/docker.io/${BLOB}`
const PLAIN = `/v2/${BLOB}`

/** `probes`: bytes that a HEAD costs upstream. `farther`: ranges that may not wait for the download. */
const STATES = [
  ['cold', { probes: 1, farther: 0 }],
  ['on its way, slowly', { probes: 0, farther: 1 }],
  ['warm', { probes: 0, farther: 0 }],
] as const

/**
 * The requests of clients that read layers in pieces, in their order and with their demands. Many of them
 * take a 200 for the piece that they asked for, and unpack what is not there.
 */
describe.each(STATES)('a layer that is %s', (state, { probes, farther }) => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock
  /** Lets the slow download go on. */
  let goOn: () => void

  beforeEach(async () => {
    clock = new ManualClock()
    goOn = () => undefined
    registry = await FakeRegistry.start()
    registry.addBlob('library/app', layer)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
    if (state === 'warm') await warmUp()
    if (state === 'on its way, slowly') await startSlowly()
  })
  afterEach(async () => {
    goOn()
    await mirror.settle()
    expect(await mirror.store.stat(layer.digest)).toEqual({ size: SIZE })
    await expect.poll(() => mirror.openFiles()).toBe(0)
    expect(mirror.records.flatMap(({ subject }) => subject.error ?? [])).toEqual([])
    expect(mirror.logs.filter(({ level }) => level !== 'debug')).toEqual([])
    await mirror[Symbol.asyncDispose]()
    await registry.close()
    expect(clock.sleeping()).toBe(0)
  })

  async function warmUp(): Promise<void> {
    await (await mirror.fetch(PLAIN)).arrayBuffer()
    await mirror.settle()
    await registry.stop()
  }

  /** A download that has come to its first mebibyte, and for ten seconds no further. */
  async function startSlowly(): Promise<void> {
    const gate = registry.gate({ ...FILTER, ranged: false, after: MIB })
    goOn = () => gate.open()
    const first = await RawExchange.open({ port: mirror.port, target: PLAIN })
    expect(await first.read(MIB)).toHaveLength(MIB)
    first.leave()
    await clock.advance(10_000)
  }

  function open(target: string, fields: Readonly<Record<string, string>>, method = 'GET') {
    const headers = Object.entries(fields)
    return RawExchange.open({ port: mirror.port, target, method, headers })
  }

  async function ask(target: string, fields: Readonly<Record<string, string>>, method?: string) {
    const exchange = await open(target, fields, method)
    const answer = await exchange.rest()
    exchange.leave()
    expect(answer.end).toBe('complete')
    return answer
  }

  /** What every one of them takes for granted of an answer with one range. */
  function expectPartial({ status, headers }: RawHead, start: number, end: number): void {
    expect(status).toBe(206)
    expect(headers['content-range']).toBe(`bytes ${start}-${end - 1}/${SIZE}`)
    expect(headers['content-length']).toBe(String(end - start))
    expect(headers['content-encoding']).toBeUndefined()
    expect(headers['docker-content-digest']).toBe(layer.digest)
  }

  async function expectRange(
    target: string,
    [start, end]: readonly [number, number],
    fields: Readonly<Record<string, string>> = {},
  ): Promise<RawHead> {
    const answer = await ask(target, { ...fields, Range: `bytes=${start}-${end - 1}` })
    expectPartial(answer, start, end)
    expect(answer.body.equals(bytes.subarray(start, end))).toBe(true)
    return answer
  }

  function expectParts(parts: readonly Part[], wanted: readonly (readonly [number, number])[]) {
    expect(parts.map(({ range }) => range)).toEqual(
      wanted.map(([start, end]) => `bytes ${start}-${end - 1}/${SIZE}`),
    )
    for (const [index, [start, end]] of wanted.entries()) {
      expect(parts[index]?.body.equals(bytes.subarray(start, end))).toBe(true)
    }
  }

  /** Whether a range that is far ahead of a slow download came past it. */
  function expectOrigin(headers: RawHead['headers']): void {
    expect(headers['cache-status'] === UNVERIFIED).toBe(farther === 1)
    expect(headers['cache-control']).toBe(farther === 1 ? 'no-store' : undefined)
  }

  /** Downloads of all of it, and requests for a part. */
  function expectAsked(downloads: number, parts: number): void {
    expect(registry.count({ ...FILTER, ranged: false })).toBe(downloads)
    expect(registry.count({ ...FILTER, ranged: true })).toBe(parts)
  }

  it('is read by containerd 2.1 in parallel: fifty open-ended ranges that it hangs up on', async () => {
    const fields = {
      'User-Agent': 'containerd/2.3.4',
      Accept: 'application/vnd.oci.image.layer.v1.tar+gzip, */*',
      'Accept-Encoding': 'zstd;q=1.0, gzip;q=0.8, deflate;q=0.5',
    }
    const first = await open(WITH_NS, { ...fields, Range: 'bytes=0-' })
    expectPartial(await first.head(), 0, SIZE)
    const chunk = Math.ceil(SIZE / 50)
    const starts = Array.from({ length: 50 }, (_, n) => n * chunk)
    const readers = await Promise.all(
      starts.map((start) => open(WITH_NS, { ...fields, Range: `bytes=${start}-` })),
    )
    for (const [index, reader] of readers.entries()) {
      expectPartial(await reader.head(), starts[index] ?? 0, SIZE)
    }
    goOn()
    const chunks = readers.map(async (reader, index) => {
      const start = index * chunk
      const length = Math.min(chunk, SIZE - start)
      const read = await reader.read(length)
      reader.leave()
      return read.subarray(0, length)
    })
    expect(Buffer.concat(await Promise.all(chunks)).equals(bytes)).toBe(true)
    first.leave()
    const others = state === 'cold' ? 0 : 1
    await expect.poll(() => mirror.records).toHaveLength(51 + others)
    expect(mirror.records.some(({ isCut }) => isCut)).toBe(true)
    expectAsked(1, 0)
  })

  it('is read by containerd from where its connection broke', async () => {
    const broken = await open(WITH_NS, {})
    const before = (await broken.read(MIB / 2)).length
    broken.leave('reset')
    const rest = ask(WITH_NS, { Range: `bytes=${before}-` })
    goOn()
    expectPartial(await rest, before, SIZE)
    expect((await rest).body.equals(bytes.subarray(before))).toBe(true)
    expectAsked(1, 0)
  })

  it('is read by Docker from where its connection broke: to the end of the layer, or from 0', async () => {
    const fields = { 'Accept-Encoding': 'zstd, gzip, deflate', 'User-Agent': 'docker/28.5.2' }
    const broken = await open(PLAIN, fields)
    const { status, headers } = await broken.head()
    expect([status, headers['content-length']]).toEqual([200, String(SIZE)])
    const before = (await broken.read(1)).length
    broken.leave()
    const rest = await open(PLAIN, { ...fields, Range: `bytes=${before}-` })
    goOn()
    const answer = await rest.rest()
    rest.leave()
    expectPartial(answer, before, SIZE)
    expect(answer.body.equals(bytes.subarray(before))).toBe(true)
    expectAsked(1, 0)
  })

  it('is read by podman in zstd:chunked pieces: one part for each, in their order', async () => {
    const fields = { 'User-Agent': 'containers/5.36.2', 'Docker-Distribution-Api-Version': '2.0' }
    // The table of contents first: two neighbours at the end, in one request.
    const contents = [
      [SIZE - 400_000, SIZE - 300_000],
      [SIZE - 300_000, SIZE - 100],
    ] as const
    // Then the chunks that it lacks; some touch each other, and stay apart.
    const chunks = Array.from({ length: 200 }, (_, n) => {
      const start = n * 20_000 - (n % 2)
      return [Math.max(0, start), start + 10_000 + (n % 3) * 5_000] as const
    })
    for (const wanted of [contents, chunks]) {
      const list = wanted.map(([start, end]) => `${start}-${end - 1}`).join(',')
      const exchange = await open(WITH_PREFIX, { ...fields, Range: `bytes=${list}` })
      const { status, headers } = await exchange.head()
      expect(status).toBe(206)
      goOn()
      const { body, end } = await exchange.rest()
      exchange.leave()
      expect([end, headers['content-length']]).toEqual(['complete', String(body.length)])
      expectParts(readParts(headers['content-type'], body), wanted)
    }
    expectAsked(1, 0)
  })

  it('is read by podman from where its connection broke, after a reset too', async () => {
    const broken = await open(WITH_PREFIX, {})
    const before = (await broken.read(100_000)).length
    broken.leave('reset')
    const rest = await open(WITH_PREFIX, { Range: `bytes=${before}-` })
    expectPartial(await rest.head(), before, SIZE)
    goOn()
    expect((await rest.rest()).body.equals(bytes.subarray(before))).toBe(true)
    rest.leave()
    expectAsked(1, 0)
  })

  it('is mounted by stargz: a look, the size, the footer, the index, and then pieces', async () => {
    const identity = { 'Accept-Encoding': 'identity' }
    // It drains the answer: a 200 would be the whole layer.
    await expectRange(WITH_NS, [0, 2], identity)
    const { status, headers } = await ask(WITH_NS, {}, 'HEAD')
    expect([status, headers['content-length']]).toEqual([200, String(SIZE)])
    const footer = await expectRange(WITH_NS, [SIZE - 51, SIZE], identity)
    const index = await expectRange(WITH_NS, [SIZE - 90_000, SIZE - 51], identity)
    const pieces = [
      [100_000, 150_000],
      [4_000_000, 4_300_000],
      [2_000_000, 2_000_001],
    ] as const
    const list = pieces.map(([start, end]) => `${start}-${end - 1}`).join(',')
    const exchange = await open(WITH_NS, { ...identity, Range: `bytes=${list}` })
    const head = await exchange.head()
    expect(head.status).toBe(206)
    goOn()
    const { body } = await exchange.rest()
    exchange.leave()
    expectParts(readParts(head.headers['content-type'], body), pieces)
    for (const { headers: fields } of [footer, index]) expectOrigin(fields)
    expectAsked(1, 2 * farther)
  })

  it('is mounted by SOCI: HEAD with Accept-Ranges, then spans, several at once', async () => {
    const { status, headers } = await ask(PLAIN, {}, 'HEAD')
    expect([status, headers['content-length']]).toEqual([200, String(SIZE)])
    expect(headers['accept-ranges']).toBe('bytes')
    const far = await expectRange(PLAIN, [5 * MIB, SIZE])
    expectOrigin(far.headers)
    expectAsked(1, probes + farther)
    const spans = [4, 1, 3, 0].map((n) => expectRange(PLAIN, [n * MIB, (n + 1) * MIB]))
    goOn()
    await Promise.all(spans)
    expect(registry.count({ ...FILTER, ranged: false })).toBe(1)
  })

  it('is looked at by SOCI where HEAD is refused: two bytes, and the size beside them', async () => {
    await expectRange(PLAIN, [0, 2])
    goOn()
    await expectRange(PLAIN, [3 * MIB, 4 * MIB])
    expect(registry.count({ ...FILTER, ranged: false })).toBe(1)
  })

  it('is mounted by nydus: exactly 200 with the size to HEAD, then closed ranges', async () => {
    const fields = { Accept: '*/*', 'User-Agent': 'nydusd' }
    const head = await ask(PLAIN, fields, 'HEAD')
    expect([head.status, head.headers['content-length']]).toEqual([200, String(SIZE)])
    // The superblock, the metadata at the end, then chunks as files are opened.
    await expectRange(PLAIN, [0, 8_192], fields)
    await expectRange(PLAIN, [SIZE - 600_000, SIZE], fields)
    goOn()
    for (const start of [4 * MIB, MIB, 2_500_000]) {
      await expectRange(PLAIN, [start, start + MIB], fields)
    }
    expect(registry.count({ ...FILTER, ranged: false })).toBe(1)
  })
})
