import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import type { BlobBody, Upstream } from '../../src/core/upstream.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob } from '../support/images.ts'
import { bodyOf, collect, failureOf, hastyClock, repo } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const MIB = 1024 * 1024
const BLOB = buildBlob('download', 3 * MIB)
const { signal } = new AbortController()

async function begin(upstream: Upstream, { digest } = BLOB, client = signal): Promise<BlobBody> {
  return bodyOf(await upstream.getBlob(X, digest, client))
}

async function pull(upstream: Upstream): Promise<string> {
  return digestOf(await collect(await begin(upstream)))
}

function cut(after: number): { readonly cut: { readonly after: number; readonly how: 'fin' } } {
  return { cut: { after, how: 'fin' } }
}

function ranges(registry: FakeRegistry): readonly (string | undefined)[] {
  return registry.requests
    .filter(({ kind, server }) => kind === 'blob' && server === 'registry')
    .map(({ headers }) => headers['range'])
}

describe('BlobDownload', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.addBlob('library/x', BLOB)
    return registry
  }

  /** Breaks the first answer after `after` bytes; what follows is up to the test. */
  async function startBroken(after: number, options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await start(options)
    const server = options.redirect === undefined ? 'registry' : 'cdn'
    registry.inject({ kind: 'blob', server, times: 1, action: cut(after) })
    return registry
  }

  it('asks for exactly the rest', async () => {
    const registry = await startBroken(MIB)
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
    expect(ranges(registry)).toEqual([undefined, `bytes=${MIB}-${BLOB.size - 1}`])
  })

  it('asks for an open end where it knows no size, and learns it', async () => {
    const registry = await start()
    registry.inject({ times: 1, action: { length: 'chunked', ...cut(MIB) } })
    registry.inject({ times: 1, action: cut(1_000) })
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
    expect(ranges(registry)).toEqual([
      undefined,
      `bytes=${MIB}-`,
      `bytes=${MIB + 1_000}-${BLOB.size - 1}`,
    ])
  })

  it('resumes after a stall', async () => {
    const registry = await start()
    registry.inject({ times: 1, action: { stallAfter: MIB } })
    const timeouts = { connect: 1_000, headers: 1_000, body: 100 }
    expect(await pull(opened.upstream(registry, {}, { timeouts }))).toBe(BLOB.digest)
    expect(ranges(registry)).toHaveLength(2)
  })

  it('resumes when a minute brought less than 16 KiB/s', async () => {
    let time = 0
    // Half a minute passes with each look at the clock.
    const clock: Clock = {
      now: () => (time += 30_000),
      sleep: (ms, stop) => hastyClock.sleep(ms, stop),
    }
    const registry = await start()
    registry.inject({ times: 1, action: { drip: { bytes: 100, everyMs: 5 } } })
    const body = await begin(opened.upstream(registry, {}, { clock }))
    const enough = new Error('enough')
    const reading = body.pump(() => {
      if (ranges(registry).length > 1) throw enough
      return undefined
    })
    await expect(reading).rejects.toBe(enough)
  })

  it('goes back to the registry for a fresh URL, with a token', async () => {
    const registry = await startBroken(MIB, { auth: { kind: 'token' }, redirect: {} })
    const upstream = opened.upstream(registry, { redirectHosts: [registry.host('cdn')] })
    const body = await begin(upstream)
    registry.revokeTokens()
    expect(digestOf(await collect(body))).toBe(BLOB.digest)
    const signatures = registry.requests
      .filter(({ server }) => server === 'cdn')
      .map(({ query }) => query.get('X-Amz-Signature'))
    expect(new Set(signatures).size).toBe(2)
    expect(registry.count({ kind: 'token' })).toBe(2)
  })

  it.each([400, 403])('asks again when the fresh URL is refused with %i', async (status) => {
    const registry = await startBroken(MIB, { redirect: {} })
    registry.inject({ server: 'cdn', ranged: true, times: 2, action: { status } })
    const upstream = opened.upstream(registry, { redirectHosts: [registry.host('cdn')] })
    expect(await pull(upstream)).toBe(BLOB.digest)
    expect(registry.count({ server: 'cdn', ranged: true })).toBe(3)
  })

  it('skips what it has when the registry begins again', async () => {
    const registry = await startBroken(MIB)
    registry.inject({ ranged: true, action: { ignoreRange: true } })
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
  })

  it('lets the registry begin again once, because that costs all of it once more', async () => {
    const registry = await start()
    registry.inject({ action: { ignoreRange: true, ...cut(MIB + 1) } })
    const failure = await failureOf(pull(opened.upstream(registry)))
    expect(failure.kind).toBe('unavailable')
    expect(failure.message).toContain('began again at the first byte, not for the first time')
    expect(registry.count()).toBe(3)
    await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
  })

  it('goes on for as long as every connection brings something', async () => {
    const big = buildBlob('many breaks', 12 * MIB)
    const registry = await start()
    registry.addBlob('library/x', big)
    registry.inject({ action: cut(MIB + 10) })
    const body = await begin(opened.upstream(registry), big)
    expect(digestOf(await collect(body))).toBe(big.digest)
    expect(registry.count()).toBe(12)
  })

  it('gives up, and says where, when connections bring next to nothing', async () => {
    const registry = await startBroken(MIB)
    registry.inject({ ranged: true, action: cut(10) })
    const failure = await failureOf(pull(opened.upstream(registry)))
    expect(failure.kind).toBe('unavailable')
    expect(failure.message).toContain(`broken after ${MIB + 50} of ${BLOB.size} bytes`)
    expect(registry.count()).toBe(6)
  })

  it.each([
    ['another range', { 'content-range': `bytes 0-${BLOB.size - 1}/${BLOB.size}` }],
    ['another size', { 'content-range': `bytes ${MIB}-${BLOB.size}/${BLOB.size + 1}` }],
    ['no range', { 'content-range': undefined }],
    [
      'several parts',
      { 'content-range': undefined, 'content-type': 'multipart/byteranges; boundary=x' },
    ],
  ])('refuses a rest with %s', async (_, headers) => {
    const registry = await startBroken(MIB)
    registry.inject({ ranged: true, action: { headers } })
    const failure = await failureOf(pull(opened.upstream(registry)))
    expect(failure.kind).toBe('misbehaved')
    expect(registry.count()).toBe(2)
    await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
  })

  it.each([
    ['416', { status: 416 }, 'misbehaved'],
    ['404', { status: 404 }, 'misbehaved'],
    ['403', { status: 403 }, 'denied'],
    ['a page', { ignoreRange: true, headers: { 'content-type': 'text/html' } }, 'misbehaved'],
    ['another size', { ignoreRange: true, length: 5 * MIB }, 'misbehaved'],
  ] as const)('ends at a registry that answers the rest with %s', async (_, action, kind) => {
    const registry = await startBroken(MIB)
    registry.inject({ ranged: true, action })
    expect(await failureOf(pull(opened.upstream(registry)))).toMatchObject({ kind })
    expect(registry.count()).toBe(2)
  })

  it('resumes through a registry that is down for a moment', async () => {
    const registry = await startBroken(MIB)
    registry.inject({ ranged: true, times: 3, action: { status: 503 } })
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
  })

  it('takes no more bytes than the blob has', async () => {
    const registry = await start()
    registry.inject({ action: { endless: true, length: BLOB.size } })
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
  })

  it('takes no more bytes than the blob has from a rest without end', async () => {
    const registry = await startBroken(MIB)
    registry.inject({ ranged: true, action: { endless: true, length: 'chunked' } })
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
    await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
  })

  it('takes the end of the connection for the end of a blob of unknown size', async () => {
    const registry = await start()
    registry.inject({ action: { length: 'close' } })
    expect(await pull(opened.upstream(registry))).toBe(BLOB.digest)
    expect(registry.count()).toBe(1)
  })

  it('reads from the network no faster than its reader reads', async () => {
    const big = buildBlob('slow reader', 32 * MIB)
    const registry = await start()
    registry.addBlob('library/x', big)
    const body = await begin(opened.upstream(registry), big)
    const enough = new Error('enough')
    const reading = body.pump(async () => {
      await new Promise((resolve) => setTimeout(resolve, 200))
      throw enough
    })
    await expect(reading).rejects.toBe(enough)
    expect(registry.bytesSent('blob')).toBeLessThan(24 * MIB)
  })

  it('ends at once for a reader who leaves while the network is silent', async () => {
    const registry = await start()
    const gate = registry.gate({ kind: 'blob', after: MIB })
    const client = new AbortController()
    const body = await begin(opened.upstream(registry), BLOB, client.signal)
    let read = 0
    const reading = body.pump((bytes) => {
      read += bytes.length
      return undefined
    })
    const outcome = reading.catch((reason: unknown) => reason)
    await vi.waitFor(() => expect(read).toBe(MIB))
    client.abort(new Error('left'))
    expect(await outcome).toEqual(new Error('left'))
    await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
    expect(registry.count()).toBe(1)
    gate.open()
  })

  describe('a rest', () => {
    const rest = (size: number | undefined) => ({ start: MIB, size })

    async function finish(registry: FakeRegistry, size?: number): Promise<string> {
      const upstream = opened.upstream(registry)
      const body = bodyOf(await upstream.resumeBlob(X, BLOB.digest, rest(size), signal))
      return digestOf(Buffer.concat([BLOB.bytes.subarray(0, MIB), await collect(body)]))
    }

    it('is all that is fetched, with an end where the size is known', async () => {
      const registry = await start()
      expect(await finish(registry, BLOB.size)).toBe(BLOB.digest)
      expect(await finish(registry)).toBe(BLOB.digest)
      expect(ranges(registry)).toEqual([`bytes=${MIB}-${BLOB.size - 1}`, `bytes=${MIB}-`])
      expect(registry.bytesSent('blob')).toBe(2 * (BLOB.size - MIB))
    })

    it('is resumed like a whole', async () => {
      const registry = await startBroken(MIB)
      expect(await finish(registry, BLOB.size)).toBe(BLOB.digest)
      expect(ranges(registry).at(-1)).toBe(`bytes=${2 * MIB}-${BLOB.size - 1}`)
    })

    it('begins where it should, of a registry that ignores ranges', async () => {
      const registry = await start()
      registry.inject({ action: { ignoreRange: true } })
      expect(await finish(registry)).toBe(BLOB.digest)
    })

    it.each([
      ['does not exist', { status: 416 }],
      ['begins elsewhere', { headers: { 'content-range': `bytes 0-9/${BLOB.size}` } }],
      ['is of another blob', { headers: { 'content-range': `bytes ${MIB}-${BLOB.size}/9999999` } }],
    ])('that %s is refused', async (_, action) => {
      const registry = await start()
      registry.inject({ action })
      expect(await failureOf(finish(registry, BLOB.size))).toMatchObject({ kind: 'misbehaved' })
    })

    it('of what the registry does not have is nothing', async () => {
      const registry = await opened.registry({})
      const upstream = opened.upstream(registry)
      expect(await upstream.resumeBlob(X, BLOB.digest, rest(BLOB.size), signal)).toBeUndefined()
    })
  })

  describe('probes', () => {
    it.each([
      ['a range that was ignored', { ignoreRange: true }, { size: BLOB.size }],
      ['no total', { headers: { 'content-range': 'bytes 0-0/*' } }, { size: undefined }],
      ['an empty blob', { status: 416, headers: { 'content-range': 'bytes */0' } }, { size: 0 }],
      ['an unsized empty blob', { status: 416 }, { size: undefined }],
    ] as const)('read %s', async (_, action, proof) => {
      const registry = await start()
      registry.inject({ action })
      expect(await opened.upstream(registry).probeBlob(X, BLOB.digest, signal)).toEqual(proof)
      expect(registry.requests.map(({ method }) => method)).toEqual(['GET'])
    })

    it.each([
      ['another range', { headers: { 'content-range': 'bytes 1-1/9' } }],
      [
        'a first byte that does not exist',
        { status: 416, headers: { 'content-range': 'bytes */9' } },
      ],
    ])('refuse %s', async (_, action) => {
      const registry = await start()
      registry.inject({ action })
      const asked = opened.upstream(registry).probeBlob(X, BLOB.digest, signal)
      expect(await failureOf(asked)).toMatchObject({ kind: 'misbehaved' })
    })
  })

  it('refuses a whole blob that answers no request for a part', async () => {
    const registry = await start()
    const headers = { 'content-range': `bytes 0-9/${BLOB.size}` }
    registry.inject({ action: { status: 206, headers, body: '0123456789' } })
    expect(await failureOf(begin(opened.upstream(registry)))).toMatchObject({ kind: 'misbehaved' })
  })
})
