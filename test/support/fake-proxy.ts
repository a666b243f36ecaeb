import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer, request } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Certificate } from './certificate.ts'

interface FakeProxyOptions {
  /** `user:password` that clients have to give. Default: none. */
  readonly login?: string
  /** Has an https:// URL then. Default: plain HTTP. */
  readonly tls?: Certificate
}

interface ProxiedRequest {
  /** `CONNECT`, or the method of a request in absolute form. */
  readonly method: string
  /** `host:port` of a CONNECT, else the whole URL. */
  readonly target: string
  readonly headers: IncomingMessage['headers']
}

/**
 * An HTTP proxy on loopback, for CONNECT and for requests in absolute form. Whatever a target is called, it
 * is asked at its port of 127.0.0.1, so that a name that nobody else can resolve proves the proxy's use.
 */
export class FakeProxy {
  readonly requests: ProxiedRequest[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #login: string | undefined
  readonly #scheme: 'http' | 'https'
  #status: number | undefined
  #isSilent = false

  private constructor({ login, tls }: FakeProxyOptions) {
    const listener = (incoming: IncomingMessage, response: ServerResponse) =>
      this.#forward(incoming, response)
    this.#login = login
    this.#scheme = tls === undefined ? 'http' : 'https'
    this.#server = tls === undefined ? createServer(listener) : createHttpsServer(tls, listener)
    this.#server.on('connect', (incoming, socket) => this.#tunnel(incoming, socket))
    this.#server.on('connection', (socket) => this.#track(socket))
  }

  static async start(options: FakeProxyOptions = {}): Promise<FakeProxy> {
    const proxy = new FakeProxy(options)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** With the user name and password, if it wants any. */
  get url(): URL {
    const login = this.#login === undefined ? '' : `${this.#login}@`
    return new URL(`${this.#scheme}://${login}${this.host}`)
  }

  targets(): readonly string[] {
    return this.requests.map(({ method, target }) => `${method} ${target}`)
  }

  /** Answers every request with this status from now on. */
  refuse(status: number): void {
    this.#status = status
  }

  /** Accepts connections and answers nothing. */
  silence(): void {
    this.#isSilent = true
  }

  openSockets(): number {
    return this.#sockets.size
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const refusal = this.#record(incoming)
    if (this.#isSilent) return
    if (refusal !== undefined) {
      incoming.resume()
      response.writeHead(refusal, { 'content-type': 'text/html' }).end('<html>the proxy</html>')
      return
    }
    const { port, pathname, search } = new URL(incoming.url ?? '')
    const { 'proxy-authorization': _, ...headers } = incoming.headers
    const options = { port, path: pathname + search, method: incoming.method ?? '', headers }
    const onward = request({ host: '127.0.0.1', ...options }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    incoming.pipe(onward)
  }

  #tunnel(incoming: IncomingMessage, client: Duplex): void {
    client.on('error', () => undefined)
    const refusal = this.#record(incoming)
    if (this.#isSilent) return
    if (refusal !== undefined) {
      client.end(`HTTP/1.1 ${refusal} No\r\nContent-Length: 9\r\n\r\nthe proxy`)
      return
    }
    const { port } = new URL(`https://${incoming.url}`)
    const onward = connect(Number(port || 443), '127.0.0.1')
    this.#track(onward)
    onward.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.pipe(client).pipe(onward)
    })
    onward.on('close', () => client.destroy())
    client.on('close', () => onward.destroy())
  }

  /** The status that refuses the request, if one does. */
  #record({ method = '', url = '', headers }: IncomingMessage): number | undefined {
    this.requests.push({ method, target: url, headers })
    if (this.#status !== undefined) return this.#status
    if (this.#login === undefined) return undefined
    const expected = `Basic ${Buffer.from(decodeURIComponent(this.#login)).toString('base64')}`
    return headers['proxy-authorization'] === expected ? undefined : 407
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
