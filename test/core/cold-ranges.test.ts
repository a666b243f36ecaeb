import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readAll } from '../support/bytes.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildBlob, buildHugeBlob } from '../support/images.ts'
import { RawExchange } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const REPOSITORY = 'library/app'
const MIB = 1024 * 1024
const SIZE = 8 * MIB
const blob = buildBlob('cold ranges', SIZE)
const bytes = Buffer.from(blob.bytes)
const PATH = `/v2/${REPOSITORY}/blobs/${blob.digest}`
const FAR = { range: 'bytes=6000000-6000099', start: 6_000_000, end: 6_000_100 }
const TAIL = { range: 'bytes=-100', start: SIZE - 100, end: SIZE }
const UNVERIFIED = 'oci-mirror; fwd=miss; detail=unverified'
const FOLLOWED = 'oci-mirror; fwd=miss; collapsed'

describe('a range of a blob that is on its way', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock
  /** Lets the slow download go on. */
  let goOn: () => void

  beforeEach(async () => {
    clock = new ManualClock()
    goOn = () => undefined
    registry = await FakeRegistry.start()
    registry.addBlob(REPOSITORY, blob)
    await start()
  })
  afterEach(async () => {
    goOn()
    await mirror[Symbol.asyncDispose]()
    await registry.close()
    expect(clock.sleeping()).toBe(0)
  })

  async function start(connections = 32): Promise<void> {
    mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry, connections } },
      clock,
    })
  }

  const ask = (range: string) => mirror.fetch(PATH, { headers: { range } })
  const get = async (range: string) => read(await ask(range))

  async function read(response: Response) {
    return {
      status: response.status,
      cache: response.headers.get('cache-status'),
      mayKeep: response.headers.get('cache-control') !== 'no-store',
      where: response.headers.get('content-range'),
      body: Buffer.from(await response.arrayBuffer()),
    }
  }

  /** A download that has come to its first mebibyte, and for ten seconds no further. */
  async function slowDownload(action: FaultAction = {}): Promise<void> {
    const opened = Promise.withResolvers<void>()
    const hold = { after: MIB, until: opened.promise }
    registry.inject({ kind: 'blob', ranged: false, times: 1, action: { ...action, hold } })
    goOn = opened.resolve
    const first = await RawExchange.open({ port: mirror.port, target: PATH })
    expect(await first.read(MIB)).toHaveLength(MIB)
    first.leave()
    await clock.advance(10_000)
  }

  /** Ranges that upstream was asked for. */
  const asked = () =>
    registry.requests.map(({ headers }) => headers['range']).filter((range) => range !== undefined)

  function expectExact(
    answer: Awaited<ReturnType<typeof get>>,
    { start, end }: { start: number; end: number },
  ): void {
    expect(answer.status).toBe(206)
    expect(answer.where).toBe(`bytes ${start}-${end - 1}/${SIZE}`)
    expect(answer.body.equals(bytes.subarray(start, end))).toBe(true)
  }

  it.each([
    ['closed', FAR],
    ['suffix', TAIL],
  ])(
    'far ahead (%s) comes from upstream at once, and is not kept',
    async (_, { range, start, end }) => {
      await slowDownload()
      for (const _ of [1, 2]) {
        const answer = await get(range)
        expectExact(answer, { start, end })
        expect([answer.cache, answer.mayKeep]).toEqual([UNVERIFIED, false])
      }
      expect(asked()).toEqual([`bytes=${start}-${end - 1}`, `bytes=${start}-${end - 1}`])
      goOn()
      await mirror.settle()
      const kept = await get(range)
      expect([kept.cache, kept.mayKeep]).toEqual(['oci-mirror; hit', true])
      expect(registry.count({ kind: 'blob', ranged: false })).toBe(1)
      expect(mirror.records.map(({ subject }) => subject.error)).toEqual(
        mirror.records.map(() => undefined),
      )
    },
  )

  it('is exact at four mebibytes too, the most that comes so', async () => {
    await slowDownload()
    const most = { start: SIZE - 4 * MIB, end: SIZE }
    const answer = await get(`bytes=-${4 * MIB}`)
    expectExact(answer, most)
    expect(answer.cache).toBe(UNVERIFIED)
    goOn()
  })

  it('asked for before anything else starts the download as well', async () => {
    const huge = buildHugeBlob('cold footer', 24 * MIB)
    registry.addBlob(REPOSITORY, huge)
    const gate = registry.gate({ kind: 'blob', ranged: false, after: 0 })
    const path = `/v2/${REPOSITORY}/blobs/${huge.digest}`
    const answer = await mirror.fetch(path, { headers: { range: 'bytes=-51' } })
    expect(answer.headers.get('cache-status')).toBe(UNVERIFIED)
    expect(answer.headers.get('content-range')).toBe(
      `bytes ${huge.size - 51}-${huge.size - 1}/${huge.size}`,
    )
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(readAll(huge).subarray(-51))
    gate.open()
    await mirror.settle()
    expect(await mirror.store.stat(huge.digest)).toEqual({ size: huge.size })
  })

  it.each([
    ['near', 'bytes=1500000-1500099', 1_500_000, 1_500_100],
    ['open-ended', 'bytes=6000000-', 6_000_000, SIZE],
    ['longer than 4 MiB', `bytes=-${4 * MIB + 1}`, SIZE - 4 * MIB - 1, SIZE],
  ])('that is %s follows the download', async (_, range, first, end) => {
    await slowDownload()
    const answer = await ask(range)
    expect(answer.headers.get('cache-status')).toBe(FOLLOWED)
    goOn()
    expectExact(await read(answer), { start: first, end })
    expect(asked()).toEqual([])
  })

  it('in several pieces follows the download, at no request a piece', async () => {
    await slowDownload()
    const answer = await ask('bytes=6000000-6000099,7000000-7000099')
    expect([answer.status, answer.headers.get('cache-status')]).toEqual([206, FOLLOWED])
    goOn()
    await answer.arrayBuffer()
    expect(asked()).toEqual([])
  })

  it('beyond the end is a 416 that nobody else is asked about', async () => {
    await slowDownload()
    const answer = await get('bytes=9999999-99999999')
    expect([answer.status, answer.where]).toEqual([416, `bytes */${SIZE}`])
    expect(asked()).toEqual([])
    goOn()
  })

  it('comes from upstream for four at a time; the fifth follows', async () => {
    await slowDownload()
    const gate = registry.gate({ kind: 'blob', ranged: true, after: 10 })
    const four = [0, 1, 2, 3].map((n) => ({ start: FAR.start + n, end: FAR.end }))
    const answers = four.map(({ start: first, end }) => get(`bytes=${first}-${end - 1}`))
    await expect.poll(() => registry.count({ kind: 'blob', ranged: true, status: 206 })).toBe(4)
    const fifth = await ask(TAIL.range)
    expect(fifth.headers.get('cache-status')).toBe(FOLLOWED)
    gate.open()
    for (const [index, range] of four.entries()) {
      const answer = await answers[index]
      expect(answer?.cache).toBe(UNVERIFIED)
      expect(answer?.body.equals(bytes.subarray(range.start, range.end))).toBe(true)
    }
    expectExact(await get(FAR.range), FAR)
    expect(asked()).toHaveLength(5)
    goOn()
    expectExact(await read(fifth), TAIL)
  })

  it.each<[string, FaultAction]>([
    ['with all of the blob', { ignoreRange: true }],
    ['with another range', { headers: { 'content-range': `bytes 5999999-6000098/${SIZE}` } }],
    ['with less of it', { headers: { 'content-range': `bytes 6000000-6000098/${SIZE}` } }],
    ['as if of another blob', { headers: { 'content-range': 'bytes 6000000-6000099/7000000' } }],
    ['without saying which', { headers: { 'content-range': undefined } }],
    ['compressed', { gzip: true }],
    ['with a web page', { headers: { 'content-type': 'text/html' } }],
    ['with 404', { status: 404 }],
    ['with 503', { status: 503 }],
    ['with nothing', { hangUp: 'reset' }],
  ])('follows the download where upstream answers %s', async (_, action) => {
    await slowDownload()
    registry.inject({ kind: 'blob', ranged: true, action })
    const answer = get(FAR.range)
    await expect.poll(() => asked()).toEqual(['bytes=6000000-6000099'])
    goOn()
    expectExact(await answer, FAR)
    expect((await answer).cache).toBe(FOLLOWED)
    expect(mirror.logs).toContainEqual(
      expect.objectContaining({ message: 'followed the download instead of a far range' }),
    )
  })

  it.each<[string, FaultAction]>([
    ['breaks off', { cut: { after: 40, how: 'reset' } }],
    ['ends early', { length: 'close', cut: { after: 40, how: 'fin' } }],
    ['is too long', { length: 'chunked', endless: true }],
  ])('that %s is completed by the download', async (_, action) => {
    await slowDownload()
    registry.inject({ kind: 'blob', ranged: true, action })
    const answer = get(FAR.range)
    await expect.poll(() => mirror.logs.map(({ message }) => message)).toHaveLength(1)
    goOn()
    expectExact(await answer, FAR)
    await expect.poll(() => registry.openSockets()).toBeLessThan(2)
  })

  it('follows the download when upstream takes five seconds to answer', async () => {
    await slowDownload()
    registry.inject({ kind: 'blob', ranged: true, action: { stall: true } })
    const answer = get(FAR.range)
    await expect.poll(() => asked()).toHaveLength(1)
    await clock.advance(5_000)
    await expect.poll(() => registry.openSockets()).toBe(1)
    goOn()
    expectExact(await answer, FAR)
    expect((await answer).cache).toBe(FOLLOWED)
  })

  it('is left to the download after half a minute', async () => {
    await slowDownload()
    registry.inject({ kind: 'blob', ranged: true, action: { stallAfter: 40 } })
    const answer = await RawExchange.open({
      port: mirror.port,
      target: PATH,
      headers: [['Range', FAR.range]],
    })
    expect((await answer.head()).headers['cache-status']).toBe(UNVERIFIED)
    await clock.advance(30_000)
    await expect.poll(() => registry.openSockets()).toBe(1)
    goOn()
    const { body, end } = await answer.rest()
    expect(end).toBe('complete')
    expect(body.equals(bytes.subarray(FAR.start, FAR.end))).toBe(true)
    answer.leave()
  })

  it('follows the download at once when no connection is free', async () => {
    await mirror[Symbol.asyncDispose]()
    await start(1)
    await slowDownload()
    const answer = await ask(FAR.range)
    expect(answer.headers.get('cache-status')).toBe(FOLLOWED)
    goOn()
    expectExact(await read(answer), FAR)
    expect(asked()).toEqual([])
    const reasons = mirror.logs.flatMap(({ fields }) => ('error' in fields ? [fields.error] : []))
    expect(reasons).toMatchObject([{ kind: 'busy' }])
  })

  it('is waited for no longer than its client waits', async () => {
    const huge = buildHugeBlob('late footer', 24 * MIB)
    registry.addBlob(REPOSITORY, huge)
    const opened = Promise.withResolvers<void>()
    const late = Promise.withResolvers<void>()
    const hold = { after: MIB, until: opened.promise }
    goOn = opened.resolve
    registry.inject({ kind: 'blob', ranged: false, action: { until: late.promise, hold } })
    registry.inject({ kind: 'blob', ranged: true, action: { stall: true } })
    const path = `/v2/${REPOSITORY}/blobs/${huge.digest}`
    const answer = mirror.fetch(path, { headers: { range: 'bytes=-51' } })
    await expect.poll(() => clock.sleeping()).toBe(1)
    await clock.advance(18_000)
    late.resolve()
    await expect.poll(() => asked()).toHaveLength(1)
    await clock.advance(2_000)
    expect((await answer).headers.get('cache-status')).toBe('oci-mirror; fwd=miss; stored')
    const reasons = mirror.logs.flatMap(({ fields }) => ('error' in fields ? [fields.error] : []))
    expect(reasons).toMatchObject([{ message: 'upstream did not answer in time' }])
    goOn()
    expect(Buffer.from(await (await answer).arrayBuffer())).toEqual(readAll(huge).subarray(-51))
  })

  it.each<[string, FaultAction]>([
    ['all of the blob', { ignoreRange: true }],
    ['too much', { length: 'chunked', endless: true }],
  ])('is not asked for again of an upstream that has sent %s instead', async (_, action) => {
    await slowDownload()
    registry.inject({ kind: 'blob', ranged: true, action })
    const first = get(FAR.range)
    await expect.poll(() => mirror.logs).toHaveLength(1)
    const second = await ask(TAIL.range)
    expect(second.headers.get('cache-status')).toBe(FOLLOWED)
    goOn()
    expectExact(await first, FAR)
    expectExact(await read(second), TAIL)
    expect(asked()).toHaveLength(1)
  })

  it('ends, and leaves nothing open, when its client does', async () => {
    await slowDownload()
    registry.inject({ kind: 'blob', ranged: true, action: { stallAfter: 40 } })
    for (let n = 0; n < 8; n += 1) {
      const answer = await RawExchange.open({
        port: mirror.port,
        target: PATH,
        headers: [['Range', FAR.range]],
      })
      expect((await answer.head()).headers['cache-status']).toBe(UNVERIFIED)
      answer.leave('reset')
      await expect.poll(() => mirror.records).toHaveLength(n + 2)
      await expect.poll(() => registry.openSockets()).toBe(1)
    }
    expect(mirror.records.map(({ subject }) => subject.error)).toEqual(
      mirror.records.map(() => undefined),
    )
    goOn()
    await mirror.settle()
    expect(await mirror.store.stat(blob.digest)).toEqual({ size: SIZE })
  })

  it('ends short with the download that turns out to be wrong, and for half a minute is a 502', async () => {
    await slowDownload({ corrupt: 0 })
    const range = registry.inject({ kind: 'blob', ranged: true, action: { stallAfter: 40 } })
    const answer = await RawExchange.open({
      port: mirror.port,
      target: PATH,
      headers: [['Range', TAIL.range]],
    })
    expect((await answer.head()).status).toBe(206)
    goOn()
    expect(await answer.rest()).toMatchObject({ end: 'short' })
    answer.leave()
    await mirror.settle()
    range.remove()
    expect((await get(TAIL.range)).status).toBe(502)
    expect((await get(FAR.range)).status).toBe(502)
    expect(asked()).toHaveLength(1)
    await clock.advance(30_001)
    expectExact(await get(TAIL.range), TAIL)
  })

  it('touching the end of a blob whose download broke follows the next one', async () => {
    const cut = { after: MIB, how: 'fin' } as const
    registry.inject({ kind: 'blob', ranged: false, times: 1, action: { cut } })
    registry.inject({ kind: 'blob', ranged: true, times: 1, action: { status: 403 } })
    await expect(get('bytes=0-')).rejects.toThrow('terminated')
    await mirror.settle()
    const before = asked().length
    await slowDownload()
    expect((await get(FAR.range)).cache).toBe(UNVERIFIED)
    const end = await ask(`bytes=${SIZE - 33_000}-${SIZE - 32_768}`)
    expect(end.headers.get('cache-status')).toBe(FOLLOWED)
    expect(asked()).toHaveLength(before + 1)
    goOn()
    expectExact(await read(end), { start: SIZE - 33_000, end: SIZE - 32_767 })
  })
})
