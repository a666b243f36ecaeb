import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import type { Certificate } from './certificate.ts'

type Handler = (incoming: IncomingMessage, response: ServerResponse) => Promise<void>

/** A server on a free loopback port that can vanish and come back on the same port. */
export class FakeServer {
  readonly origin: string
  readonly port: number
  readonly #server: Server
  readonly #sockets: Set<Socket>
  #opened = 0

  private constructor(server: Server, sockets: Set<Socket>, scheme: string) {
    this.#server = server
    this.#sockets = sockets
    this.port = (server.address() as AddressInfo).port
    this.origin = `${scheme}://127.0.0.1:${this.port}`
    // 'connection' is the TCP connection also under TLS, where 'secureConnection' follows it.
    server.on('connection', () => (this.#opened += 1))
  }

  static async start(handler: Handler, tls: Certificate | undefined): Promise<FakeServer> {
    const listener = (incoming: IncomingMessage, response: ServerResponse): void => {
      handler(incoming, response).catch((error: unknown) => {
        response.destroy()
        // A fault of the fake itself: it must fail the test run and not look like an upstream fault.
        queueMicrotask(() => {
          throw error
        })
      })
    }
    const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener)
    // Longer than any test, so that no client meets the race of a connection closing for idleness.
    server.keepAliveTimeout = 120_000
    const sockets = trackSockets(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FakeServer(server, sockets, tls === undefined ? 'http' : 'https')
  }

  openSockets(): number {
    return this.#sockets.size
  }

  /** Connections accepted since the start. */
  socketsOpened(): number {
    return this.#opened
  }

  /** Refuses connections from now on and cuts those that are open. Harmless when stopped. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await Promise.all([...this.#sockets].map((socket) => destroy(socket)))
    await closed
  }

  async restart(): Promise<void> {
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }
}

function trackSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // Clients that vanish are what many tests are about; the response's own 'close' tells us.
    socket.on('error', () => undefined)
  })
  return sockets
}

function destroy(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve())
    socket.destroy()
  })
}
