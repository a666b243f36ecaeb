import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { startDelayProxy } from '../../../bench/support/delay-proxy.ts'
import { seededBytes } from '../../support/bytes.ts'

const ROUND_TRIP_MS = 60
/** By so much a byte may be early in each direction. */
const GRAIN_MS = 1

describe('the delay proxy', () => {
  const stack = new AsyncDisposableStack()
  const open: Socket[] = []
  afterEach(() => {
    for (const socket of open.splice(0)) socket.destroy()
  })

  it('carries every byte in both directions, and each direction has an end of its own', async () => {
    const bytes = Buffer.from(seededBytes('delayed', 3_000_000))
    await using far = await startFar(async (socket) => {
      socket.end(await buffer(socket))
    })
    const client = await far.dial(ROUND_TRIP_MS)
    client.end(bytes)
    expect((await buffer(client)).equals(bytes)).toBe(true)
  })

  it('takes one round trip for a request, and two for the first one of a connection', async () => {
    await using far = await startFar((socket) => void socket.pipe(socket))
    const client = await far.dial(ROUND_TRIP_MS)
    expect(await roundTrip(client)).toBeGreaterThan(2 * (ROUND_TRIP_MS - GRAIN_MS))
    expect(await roundTrip(client)).toBeGreaterThan(ROUND_TRIP_MS - 2 * GRAIN_MS)
  })

  it('resets the connection of a client whose server hangs up', async () => {
    await using far = await startFar((socket) => {
      socket.write('half of it', () => socket.resetAndDestroy())
    })
    const client = await far.dial(0)
    await expect(buffer(client)).rejects.toThrow('ECONNRESET')
  })

  it('resets the connection to the server of a client that hangs up', async () => {
    const broken = Promise.withResolvers<Error>()
    await using far = await startFar((socket) => {
      socket.on('error', broken.resolve)
      socket.write('hello')
    })
    const client = await far.dial(0)
    await once(client, 'data')
    client.resetAndDestroy()
    expect((await broken.promise).message).toContain('ECONNRESET')
  })

  /** A server, and a way to reach it from a distance. */
  async function startFar(serve: (socket: Socket) => void | Promise<void>) {
    const server = createServer({ allowHalfOpen: true }, (socket) => void serve(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const owned = stack.use(new AsyncDisposableStack())
    owned.defer(() => void server.close())
    return {
      dial: async (roundTripMs: number): Promise<Socket> => {
        const proxy = await startDelayProxy(url, roundTripMs)
        owned.defer(() => proxy.stop())
        const { hostname, port } = new URL(proxy.url)
        const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
        open.push(socket)
        await once(socket, 'connect')
        return socket
      },
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    }
  }
})

/** Milliseconds until what was sent has come back. */
async function roundTrip(socket: Socket): Promise<number> {
  const begun = performance.now()
  socket.write('ping')
  await once(socket, 'data')
  return performance.now() - begun
}
