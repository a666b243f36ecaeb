import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { ClientPatience } from '../../src/http/body-writer.ts'
import { BodyWriter } from '../../src/http/body-writer.ts'
import type { RequestRecord } from '../../src/http/exchange.ts'
import { ClientLeft, Exchange } from '../../src/http/exchange.ts'
import { listen } from '../../src/http/server.ts'
import { WriteTurns } from '../../src/http/write-turns.ts'
import { RawExchange } from '../support/raw-request.ts'

const MIB = 1024 * 1024
/** More than the kernel holds for a connection. */
const BODY_BYTES = 16 * MIB
const CHUNK = Buffer.alloc(MIB, 7)

interface Sending extends AsyncDisposable {
  readonly client: RawExchange
  readonly records: readonly RequestRecord[]
  /** How the body ended. */
  readonly ended: Promise<unknown>
}

/** A body on its way to a client. `before` is awaited ahead of each chunk. */
async function send(
  patience: ClientPatience,
  before: () => Promise<void> = async () => {},
): Promise<Sending> {
  const records: RequestRecord[] = []
  const { promise: ended, resolve } = Promise.withResolvers<unknown>()
  const server = await listen({ host: '127.0.0.1', port: 0 }, (incoming, outgoing) => {
    const exchange = new Exchange(incoming, outgoing, (record) => records.push(record))
    outgoing.writeHead(200, { 'content-length': BODY_BYTES })
    outgoing.flushHeaders()
    void pour(new BodyWriter(exchange, new WriteTurns(), patience), outgoing, before).then(
      resolve,
      resolve,
    )
  })
  const client = await RawExchange.open({
    port: server.port,
    target: '/',
    headers: [['Connection', 'keep-alive']],
  })
  await client.head()
  const dispose = async () => {
    client.leave()
    await server.drain(0)
  }
  return { client, records, ended, [Symbol.asyncDispose]: dispose }
}

async function pour(
  writer: BodyWriter,
  outgoing: { end(): unknown },
  before: () => Promise<void>,
): Promise<'whole'> {
  try {
    for (let sent = 0; sent < BODY_BYTES; sent += CHUNK.length) {
      await before()
      await writer.write(CHUNK)
    }
    outgoing.end()
    return 'whole'
  } finally {
    writer.close()
  }
}

/** Piece by piece: one buffer of all of it would be copied again and again. */
async function take(client: RawExchange, bytes: number): Promise<number> {
  let taken = 0
  for (let piece = -1; piece !== 0 && taken < bytes; taken += piece) {
    piece = (await client.read(1)).length
  }
  return taken
}

/** Bytes that the first write of a body hands to its connection at once. The client gets it all. */
async function beginBody(newcomers: number): Promise<number> {
  const turns = new WriteTurns()
  const chunk = Buffer.from(Uint32Array.from({ length: MIB / 4 }, (_, n) => n).buffer)
  const { promise: at, resolve } = Promise.withResolvers<number>()
  const server = await listen({ host: '127.0.0.1', port: 0 }, (incoming, outgoing) => {
    const exchange = new Exchange(incoming, outgoing, () => {})
    outgoing.writeHead(200, { 'content-length': chunk.length })
    outgoing.flushHeaders()
    const writer = new BodyWriter(exchange, turns)
    for (let n = 0; n < newcomers; n += 1) turns.hurry()
    const before = incoming.socket.bytesWritten
    const written = writer.write(chunk)
    resolve(incoming.socket.bytesWritten - before)
    void endAfter(written, writer, outgoing)
  })
  const client = await RawExchange.open({ port: server.port, target: '/' })
  const { body } = await client.rest()
  await server.drain(0)
  expect(body.equals(chunk)).toBe(true)
  return at
}

async function endAfter(
  written: Promise<void>,
  writer: BodyWriter,
  outgoing: { end(): unknown },
): Promise<void> {
  await written
  writer.close()
  outgoing.end()
}

describe('a body on its way', () => {
  it('begins with a little for everyone while a herd comes, and goes on with the rest', async () => {
    expect(await beginBody(1)).toBe(MIB)
    expect(await beginBody(20)).toBe(16 * 1024)
  })

  it('is cut when the client takes nothing of it any more', async () => {
    await using sending = await send({ still: 150, slow: 60_000 })
    expect(await sending.ended).toBeInstanceOf(ClientLeft)
    await expect.poll(() => sending.records).toMatchObject([{ status: 200, isCut: true }])
    expect((await sending.client.rest()).end).not.toBe('complete')
  })

  it('is cut although a client that takes nothing talks on', async () => {
    await using sending = await send({ still: 150, slow: 500 })
    const started = performance.now()
    sending.client.say('GET / HTTP/1.1\r\nX: ')
    const talk = setInterval(() => sending.client.say('x'), 20)
    expect(await sending.ended).toBeInstanceOf(ClientLeft)
    clearInterval(talk)
    // Longer than what is still is borne, so that it was the other limit.
    expect(performance.now() - started).toBeGreaterThan(300)
  })

  it('is sent whole to a client that takes its time, but takes', async () => {
    await using sending = await send({ still: 1_500, slow: 5_000 })
    let taken = 0
    for (let n = 0; n < 6; n += 1) {
      await sleep(300)
      taken += (await sending.client.read(MIB)).length
    }
    expect(taken + (await take(sending.client, BODY_BYTES - taken))).toBe(BODY_BYTES)
    expect(await sending.ended).toBe('whole')
  })

  it('is not cut for waiting longer than a client may: what is late is not with the client', async () => {
    let waits = 1
    const before = async () => {
      if (waits > 0) await sleep(2_500)
      waits -= 1
    }
    await using sending = await send({ still: 1_000, slow: 2_000 }, before)
    expect(await take(sending.client, BODY_BYTES)).toBe(BODY_BYTES)
    expect(await sending.ended).toBe('whole')
    expect(sending.records).toMatchObject([{ isCut: false, bytes: BODY_BYTES }])
  })

  it('is still cut for a client that stops after such a wait', async () => {
    let waits = 1
    const before = async () => {
      if (waits > 0) await sleep(300)
      waits -= 1
    }
    await using sending = await send({ still: 100, slow: 60_000 }, before)
    expect(await sending.ended).toBeInstanceOf(ClientLeft)
  })
})
