import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { readParts } from '../support/byte-ranges.ts'
import { seededBytes } from '../support/bytes.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { TestMirror } from '../support/test-mirror.ts'

const SIZE = 3_000_000
const bytes = Buffer.from(seededBytes('ranges', SIZE))
const digest = digestOf(bytes)
const PATH = `/v2/acme/app/blobs/${digest}`
const ETAG = `"${digest}"`

describe('a range of a blob', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.addBlob('acme/app', { bytes, digest, size: SIZE, mediaType: '' })
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function get(headers: Record<string, string>) {
    const response = await mirror.fetch(PATH, { headers })
    return {
      status: response.status,
      headers: response.headers,
      body: Buffer.from(await response.arrayBuffer()),
    }
  }

  async function warm(): Promise<void> {
    await get({})
    await mirror.settle()
    await registry.stop()
  }

  const CASES: readonly (readonly [range: string, start: number, end: number])[] = [
    ['bytes=0-0', 0, 1],
    ['bytes=0-999', 0, 1000],
    ['bytes=1000-', 1000, SIZE],
    ['bytes=2999999-2999999', SIZE - 1, SIZE],
    ['bytes=2999000-99999999', SIZE - 1000, SIZE],
    ['bytes=-1', SIZE - 1, SIZE],
    ['bytes=-5000', SIZE - 5000, SIZE],
    ['bytes=-99999999', 0, SIZE],
    ['Bytes = 5-6', 5, 7],
  ]

  it.each(CASES)('%s is sent exactly from a stored blob', async (range, start, end) => {
    await warm()
    const answer = await get({ range })
    expect(answer.status).toBe(206)
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${SIZE}`)
    expect(answer.headers.get('content-length')).toBe(String(end - start))
    expect(answer.body.equals(bytes.subarray(start, end))).toBe(true)
    await registry.restart()
  })

  it.each(CASES)(
    '%s is sent exactly from a cold blob, never as a 200',
    async (range, start, end) => {
      const answer = await get({ range })
      expect(answer.status).toBe(206)
      expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/${SIZE}`)
      expect(answer.body.equals(bytes.subarray(start, end))).toBe(true)
      await mirror.settle()
      expect(registry.count({ kind: 'blob' })).toBe(1)
    },
  )

  it('is sent exactly where upstream does not say how long the blob is', async () => {
    registry.inject({ kind: 'blob', action: { length: 'chunked' } })
    const answer = await get({ range: 'bytes=-10' })
    expect(answer.status).toBe(206)
    expect(answer.body.equals(bytes.subarray(SIZE - 10))).toBe(true)
  })

  it('is shared: fifty open-ended ranges of a cold blob cost one download', async () => {
    const starts = Array.from({ length: 50 }, (_, n) => n * 60_000)
    const answers = await Promise.all(starts.map((start) => get({ range: `bytes=${start}-` })))
    for (const [index, { status, body }] of answers.entries()) {
      expect(status).toBe(206)
      expect(body.equals(bytes.subarray(starts[index]))).toBe(true)
    }
    expect(registry.count({ kind: 'blob' })).toBe(1)
  })

  it.each(['stored', 'cold'])(
    'in several pieces is one part per piece, in order, of a %s blob',
    async (state) => {
      if (state === 'stored') await warm()
      const answer = await get({ range: 'bytes=5-9, 0-4,7-8,-3, 1000000-1999999' })
      expect(answer.status).toBe(206)
      expect(answer.headers.get('content-length')).toBe(String(answer.body.length))
      const parts = readParts(answer.headers.get('content-type'), answer.body)
      const wanted = [
        [5, 10],
        [0, 5],
        [7, 9],
        [SIZE - 3, SIZE],
        [1_000_000, 2_000_000],
      ] as const
      expect(parts.map(({ range }) => range)).toEqual(
        wanted.map(([a, b]) => `bytes ${a}-${b - 1}/${SIZE}`),
      )
      for (const [index, [start, end]] of wanted.entries()) {
        expect(parts[index]?.body.equals(bytes.subarray(start, end))).toBe(true)
      }
      if (state === 'stored') await registry.restart()
    },
  )

  it('in a thousand pieces is answered, and in more refused', async () => {
    await warm()
    const ranges = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, n) => `${n}-${n}`).join(',')}`
    const answer = await get({ range: ranges(1000) })
    expect(answer.status).toBe(206)
    expect(readParts(answer.headers.get('content-type'), answer.body)).toHaveLength(1000)
    expect((await get({ range: ranges(1001) })).status).toBe(400)
    await registry.restart()
  })

  it.each([
    'bytes=3000000-',
    'bytes=3000000-3000001',
    'bytes=-0',
    'bytes=9999999999-',
    'bytes=5-4',
  ])('%s is a 416 that tells the size', async (range) => {
    for (const state of ['cold', 'stored']) {
      const answer = await get({ range })
      expect([state, answer.status]).toEqual([state, 416])
      expect(answer.headers.get('content-range')).toBe(`bytes */${SIZE}`)
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        errors: [{ code: 'SIZE_INVALID' }],
      })
      await mirror.settle()
    }
  })

  it.each([
    'bytes=',
    'bytes=,',
    'bytes= , ,',
    'bytes=-',
    'bytes=a-b',
    'bytes=1-2;3-4',
    'bytes=0-9999999999999999',
    'bytes=--1',
  ])('%s is refused, because a 200 would be taken for the range', async (range) => {
    await warm()
    const answer = await get({ range })
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      errors: [{ detail: /the Range header cannot be read/ }],
    })
    await registry.restart()
  })

  it.each(['bytes=0-1,', 'bytes=,0-1', 'bytes= ,\t, 0-1 , ,'])(
    '%s is one range, whatever is empty beside it',
    async (range) => {
      await warm()
      const answer = await get({ range })
      expect([answer.status, answer.headers.get('content-range')]).toEqual([
        206,
        `bytes 0-1/${SIZE}`,
      ])
      await registry.restart()
    },
  )

  it('in a unit that nobody knows is ignored', async () => {
    await warm()
    expect((await get({ range: 'items=0-1' })).status).toBe(200)
    await registry.restart()
  })

  it('is sent if If-Range still names the blob, and the whole blob if not', async () => {
    await warm()
    expect((await get({ range: 'bytes=0-1', 'if-range': ETAG })).status).toBe(206)
    for (const other of ['"other"', `W/${ETAG}`, 'Wed, 21 Oct 2026 07:28:00 GMT']) {
      const answer = await get({ range: 'bytes=0-1', 'if-range': other })
      expect(answer.status).toBe(200)
      expect(answer.body.equals(bytes)).toBe(true)
    }
    await registry.restart()
  })

  it('stops at what has been checked when the download fails', async () => {
    registry.inject({ kind: 'blob', action: { corrupt: 'last' } })
    const near = await get({ range: 'bytes=0-999' })
    expect(near.body.equals(bytes.subarray(0, 1000))).toBe(true)
    await mirror.settle()
    await expect(get({ range: 'bytes=-10' })).resolves.toMatchObject({ status: 502 })
  })

  it('that touches the end waits for the digest', async () => {
    registry.inject({ kind: 'blob', action: { corrupt: 'last' } })
    await expect(get({ range: 'bytes=-10' })).rejects.toThrow('terminated')
  })

  it('does not concern HEAD', async () => {
    await warm()
    const head = await mirror.head(PATH, { range: 'bytes=0-1' })
    expect(head.status).toBe(200)
    expect(head.headers.get('content-length')).toBe(String(SIZE))
    expect(head.headers.get('accept-ranges')).toBe('bytes')
    await registry.restart()
  })

  it('does not concern a client that has the blob already', async () => {
    await warm()
    const answer = await get({ 'if-none-match': ETAG, range: 'bytes=0-1' })
    expect(answer.status).toBe(304)
    expect(answer.body).toHaveLength(0)
    expect(answer.headers.get('etag')).toBe(ETAG)
    await registry.restart()
  })
})
