import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * The rest of the world, for clients: an HTTP proxy that they are told to use and that lets nothing
 * through. A client that goes on to an image's real registry, as Docker does after a mirror's 404, is
 * seen here instead of making a detour that nobody notices.
 */
export class Outside {
  readonly #server: Server
  #asked: string[] = []

  private constructor(server: Server) {
    this.#server = server
    // https comes as `CONNECT host:port`, http as `GET http://host:port/…`.
    server.on('connect', (request, socket) => {
      this.#asked.push(request.url ?? '')
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    })
    server.on('request', (request, response) => {
      this.#asked.push(new URL(request.url ?? '', 'http://unknown').host)
      response.writeHead(403).end()
    })
  }

  static async start(): Promise<Outside> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Outside(server)
  }

  /** What clients run with. */
  get env(): NodeJS.ProcessEnv {
    const proxy = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    const loopback = '127.0.0.1,localhost'
    return {
      ...process.env,
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      NO_PROXY: loopback,
      http_proxy: proxy,
      https_proxy: proxy,
      no_proxy: loopback,
    }
  }

  /** Host and port of everything that clients asked for outside, since the last time. */
  takeAsked(): readonly string[] {
    const asked = this.#asked
    this.#asked = []
    return asked
  }

  async close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}
