import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import type { Certificate } from '../support/certificate.ts'

/** What a server says to one request: pieces that arrive apart, as far as a network can promise that. */
export type Answer = (socket: Socket, target: string) => Promise<void>

/** Answers each request on each connection with the bytes that the test wants to see on the wire. */
export class ScriptedServer {
  readonly origin: string
  #connections = 0
  readonly #stop: () => Promise<void>

  private constructor(origin: string, stop: () => Promise<void>) {
    this.origin = origin
    this.#stop = stop
  }

  static async start(answer: Answer, certificate?: Certificate): Promise<ScriptedServer> {
    const open = new Set<Socket>()
    const onConnection = (socket: Socket) => {
      self.#connections += 1
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => open.delete(socket))
      let heads = ''
      socket.on('data', (bytes) => {
        heads += bytes.toString('latin1')
        for (let end = heads.indexOf('\r\n\r\n'); end >= 0; end = heads.indexOf('\r\n\r\n')) {
          const [, target = ''] = heads.slice(0, end).split(' ')
          heads = heads.slice(end + 4)
          void answer(socket, target)
        }
      })
    }
    const server = certificate
      ? createTlsServer(certificate, onConnection)
      : createServer(onConnection)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const self = new ScriptedServer(
      `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`,
      async () => {
        for (const socket of open) socket.destroy()
        server.close()
        await once(server, 'close')
      },
    )
    return self
  }

  get connections(): number {
    return this.#connections
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
  }
}

/** One piece after the other, each when the one before has left. */
export async function send(socket: Socket, pieces: Iterable<Uint8Array>): Promise<void> {
  for (const piece of pieces) {
    // Called back too where the other end has gone.
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()))
    await nextTurn()
    await nextTurn()
  }
}

/** Cuts the bytes at these lengths, over and over. */
export function* cutAt(bytes: Uint8Array, lengths: readonly number[]): Iterable<Uint8Array> {
  for (let start = 0, nth = 0; start < bytes.length; nth += 1) {
    const length = lengths[nth % lengths.length] ?? bytes.length
    yield bytes.subarray(start, start + length)
    start += length
  }
}
