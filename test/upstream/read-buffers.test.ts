import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { Agent, buildConnector } from 'undici'
import { ReadBuffers } from '../../src/upstream/read-buffers.ts'
import type { Head } from '../../src/upstream/reply-body.ts'
import { request } from '../../src/upstream/reply-body.ts'
import { seededBytes } from '../support/bytes.ts'
import { selfSigned } from '../support/certificate.ts'
import { cutAt, ScriptedServer, send } from './scripted-server.ts'

const KIB = 1024
const MIB = 1024 * KIB
const content = Buffer.from(seededBytes('read buffers', 4 * MIB))
const { signal } = new AbortController()

type Framing = 'length' | 'chunked' | 'until closed'

/** An answer with that body as it goes over the wire. */
function wire(body: Uint8Array, framing: Framing, chunks: readonly number[] = [10_000]): Buffer {
  const head = (field: string) =>
    Buffer.from(`HTTP/1.1 200 OK\r\nx-name: value\r\n${field}\r\n\r\n`)
  if (framing === 'length') return Buffer.concat([head(`content-length: ${body.length}`), body])
  if (framing === 'until closed') return Buffer.concat([head('connection: close'), body])
  const lines = [...cutAt(body, chunks)].flatMap((chunk) => [
    Buffer.from(`${chunk.length.toString(16)}\r\n`),
    chunk,
    Buffer.from('\r\n'),
  ])
  const end = Buffer.from('0\r\nx-trailer: yes\r\n\r\n')
  return Buffer.concat([head('transfer-encoding: chunked'), ...lines, end])
}

describe('ReadBuffers', () => {
  const agents: Agent[] = []
  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.destroy()))
  })

  /** Whatever still looks at a buffer when it is read into again sees that it is no more what it was. */
  function poisoned(options: Agent.Options = {}) {
    const reads = new ReadBuffers()
    const { onread: plain } = reads
    const used = new Set<ArrayBufferLike>()
    const onread = {
      ...plain,
      buffer: () => {
        const next = typeof plain.buffer === 'function' ? plain.buffer() : plain.buffer
        used.add(next.buffer)
        return next.fill(0xee)
      },
    }
    const connect = buildConnector({ allowH2: false, rejectUnauthorized: false, onread })
    const agent = new Agent({ pipelining: 1, connections: 1, ...options, connect })
    agents.push(agent)
    const ask = (origin: string, path = '/') =>
      request(agent, { origin, path, method: 'GET', blocking: false }, reads, signal)
    return { ask, used }
  }

  /** The reader takes so many turns of the loop for each piece, over and over. */
  async function bodyOf(head: Head, turns: readonly number[] = [0]): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    const wait = async (count: number) => {
      for (let turn = 0; turn < count; turn += 1) await nextTurn()
    }
    await head.body.pump((bytes) => {
      pieces.push(Uint8Array.from(bytes))
      const count = turns[pieces.length % turns.length] ?? 0
      return count === 0 ? undefined : wait(count)
    })
    return Buffer.concat(pieces)
  }

  const always = (bytes: Uint8Array, lengths: readonly number[] = [Infinity]) =>
    ScriptedServer.start((socket) => send(socket, cutAt(bytes, lengths)))

  it('are a few, however much is read', async () => {
    await using server = await always(wire(content, 'length'))
    const { ask, used } = poisoned()
    for (let round = 0; round < 3; round += 1) {
      expect((await bodyOf(await ask(server.origin))).equals(content)).toBe(true)
    }
    expect(server.connections).toBe(1)
    // 12 MiB would be 192 of them, if each were used once.
    expect(used.size).toBeLessThan(24)
  })

  it('are given to sockets by way of what Node calls as their own method', async () => {
    const seen: unknown[] = []
    const { onread } = new ReadBuffers()
    const spied = {
      ...onread,
      callback(this: unknown, length: number, all: Uint8Array): boolean {
        seen.push(this)
        return onread.callback.call(this, length, all)
      },
    }
    const connect = buildConnector({ allowH2: false, rejectUnauthorized: true, onread: spied })
    await using server = await always(Buffer.from('hello'))
    const { hostname, port } = new URL(server.origin)
    const socket = await new Promise<Socket>((resolve, reject) => {
      connect({ hostname, port, protocol: 'http:' }, (failure, opened) =>
        failure === null ? resolve(opened) : reject(failure),
      )
    })
    socket.write('GET / HTTP/1.1\r\n\r\n')
    const [bytes] = await Array.fromAsync(socket.take(1))
    expect(String(bytes)).toBe('hello')
    expect(seen).toEqual([socket])
  })

  it('hold a head that comes in many reads', async () => {
    const answer = wire(content.subarray(0, 1000), 'length')
    await using server = await always(answer, [1, 3, 2])
    const { ask } = poisoned()
    const head = await ask(server.origin)
    expect([head.status, head.headers['x-name'], head.headers['content-length']]).toEqual([
      200,
      'value',
      '1000',
    ])
    expect((await bodyOf(head)).equals(content.subarray(0, 1000))).toBe(true)
  })

  it('hold the end of one body and the beginning of the next', async () => {
    const [one, two] = [content.subarray(0, 5000), content.subarray(7000, 20_000)]
    const both = Buffer.concat([wire(one, 'length'), wire(two, 'chunked')])
    let asked = 0
    await using server = await ScriptedServer.start(async (socket) => {
      asked += 1
      if (asked === 2) await send(socket, [both])
    })
    const { ask } = poisoned({ pipelining: 2 })
    const heads = [ask(server.origin, '/1'), ask(server.origin, '/2')]
    const bodies = await Promise.all(heads.map(async (head) => bodyOf(await head, [2])))
    expect(bodies.map((body, nth) => body.equals(nth === 0 ? one : two))).toEqual([true, true])
    expect(server.connections).toBe(1)
  })

  it('take what comes over TLS', async () => {
    const certificate = selfSigned(['127.0.0.1'])
    const answer = wire(content, 'chunked', [70_000, 5, 16_384])
    await using server = await ScriptedServer.start((socket) => send(socket, [answer]), certificate)
    const { ask, used } = poisoned()
    const body = await bodyOf(await ask(server.origin))
    expect(body.equals(content)).toBe(true)
    // A record has 16 KiB at most: it would be more than 256 of them, if each were used once.
    expect(used.size).toBeLessThan(100)
    const slowly = await bodyOf(await ask(server.origin), [0, 0, 3])
    expect(slowly.equals(content)).toBe(true)
  })

  it('are never read into again while somebody needs what is in them', async () => {
    const cases = fc.record({
      bodies: fc.array(
        fc.record({
          start: fc.nat({ max: 1000 }),
          length: fc.oneof(fc.nat({ max: 200 }), fc.nat({ max: 400_000 })),
          framing: fc.constantFrom<Framing>('length', 'chunked', 'until closed'),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      chunks: fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 3 }),
      cuts: fc.array(fc.integer({ min: 1, max: 150_000 }), { minLength: 1, maxLength: 4 }),
      turns: fc.array(fc.constantFrom(0, 0, 1, 4), { minLength: 1, maxLength: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ bodies, chunks, cuts, turns }) => {
        const longest = Math.max(...bodies.map(({ length }) => length))
        // A turn of the loop for each: not too many of them.
        const noLess = (lengths: readonly number[]) =>
          lengths.map((length) => Math.max(length, Math.ceil(longest / 100)))
        const wanted = bodies.map(({ start, length }) => content.subarray(start, start + length))
        await using server = await ScriptedServer.start(async (socket, target) => {
          const nth = Number(target.slice(1))
          const framing = bodies[nth]?.framing ?? 'length'
          const answer = wire(wanted[nth] ?? content, framing, noLess(chunks))
          await send(socket, cutAt(answer, noLess(cuts)))
          if (framing === 'until closed') socket.end()
        })
        const { ask } = poisoned()
        for (const [nth, body] of wanted.entries()) {
          const got = await bodyOf(await ask(server.origin, `/${nth}`), turns)
          expect(got.equals(body)).toBe(true)
        }
      }),
      { numRuns: 30 },
    )
  })
})
