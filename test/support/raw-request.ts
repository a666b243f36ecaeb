import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

export interface RawRequest {
  readonly port: number
  /** Sent as it is: dots, escapes and absolute forms too. */
  readonly target: string
  /** Default GET. */
  readonly method?: string
  /** Lines in this order, doubles too. `Host` and `Connection: close` are added unless given. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  /** Sent as it is; no Content-Length is added. */
  readonly body?: string | Uint8Array
}

export interface RawHead {
  readonly status: number
  /** Names in lower case; several lines of one name joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
}

export interface RawResponse extends RawHead {
  readonly body: Buffer
  /** `complete` as framed; `short` closed with FIN too early; `reset` closed with RST. */
  readonly end: 'complete' | 'short' | 'reset'
}

const HEAD_END = Buffer.from('\r\n\r\n')

/** Sends what no client library would, and reads the whole response. */
export async function rawRequest(request: RawRequest): Promise<RawResponse> {
  const exchange = await RawExchange.open(request)
  try {
    return await exchange.rest()
  } finally {
    exchange.leave()
  }
}

/** One request whose response is read only as far as the test asks: the rest fills TCP's window. */
export class RawExchange {
  readonly #socket: Socket
  readonly #isHead: boolean
  #pending = Buffer.alloc(0)
  #head: RawHead | undefined
  #ending: 'fin' | 'reset' | undefined

  private constructor(socket: Socket, isHead: boolean) {
    this.#socket = socket
    this.#isHead = isHead
    socket.on('error', () => (this.#ending = 'reset'))
    socket.on('end', () => (this.#ending ??= 'fin'))
  }

  static async open(request: RawRequest): Promise<RawExchange> {
    const { port, target, method = 'GET', headers = [], body } = request
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const has = (name: string) => headers.some(([given]) => given.toLowerCase() === name)
    const lines = [
      `${method} ${target} HTTP/1.1`,
      ...(has('host') ? [] : [`Host: 127.0.0.1:${port}`]),
      ...headers.map(([name, value]) => `${name}: ${value}`),
      ...(has('connection') ? [] : ['Connection: close']),
    ]
    // latin1: what a test writes as \xff or as UTF-8 bytes has to arrive as those bytes.
    socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
    if (body !== undefined) socket.write(body)
    return new RawExchange(socket, method === 'HEAD')
  }

  /** Status and headers; throws if the connection closes before them. */
  async head(): Promise<RawHead> {
    if (this.#head !== undefined) return this.#head
    let end = this.#pending.indexOf(HEAD_END)
    while (end < 0) {
      if (!(await this.#more())) throw new Error('the connection closed before the headers ended')
      end = this.#pending.indexOf(HEAD_END)
    }
    this.#head = parseHead(this.#pending.toString('latin1', 0, end))
    this.#pending = this.#pending.subarray(end + HEAD_END.length)
    return this.#head
  }

  /** At least `bytes` more of the body as it comes off the wire, or fewer at its end. */
  async read(bytes: number): Promise<Buffer> {
    await this.head()
    while (this.#pending.length < bytes && (await this.#more()));
    const taken = this.#pending
    this.#pending = Buffer.alloc(0)
    return taken
  }

  async rest(): Promise<RawResponse> {
    const head = await this.head()
    const length = this.#isHead ? '0' : head.headers['content-length']
    if (length !== undefined) {
      while (this.#pending.length < Number(length) && (await this.#more()));
      const body = this.#pending.subarray(0, Number(length))
      return this.#finish(head, body, body.length === Number(length))
    }
    if (head.headers['transfer-encoding'] !== 'chunked') {
      while (await this.#more());
      return this.#finish(head, this.#pending, this.#ending === 'fin')
    }
    let chunked = parseChunks(this.#pending)
    while (!chunked.isWhole && (await this.#more())) chunked = parseChunks(this.#pending)
    return this.#finish(head, chunked.body, chunked.isWhole)
  }

  /** More bytes on the same connection, as they are. */
  say(bytes: string | Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  /** Closes with FIN, or with RST. Harmless when closed. */
  leave(how: 'fin' | 'reset' = 'fin'): void {
    if (how === 'reset') this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  #finish(head: RawHead, body: Buffer, isWhole: boolean): RawResponse {
    const broken = this.#ending === 'reset' ? 'reset' : 'short'
    return { ...head, body, end: isWhole ? 'complete' : broken }
  }

  /** Takes what the socket has, or waits for it; false at its end. */
  async #more(): Promise<boolean> {
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null
      if (chunk !== null) {
        this.#pending = Buffer.concat([this.#pending, chunk])
        return true
      }
      if (this.#ending !== undefined || this.#socket.destroyed) return false
      await activity(this.#socket)
    }
  }
}

const EVENTS = ['readable', 'end', 'error', 'close'] as const

async function activity(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of EVENTS) socket.off(event, done)
      resolve()
    }
    for (const event of EVENTS) socket.on(event, done)
  })
}

function parseHead(text: string): RawHead {
  const [statusLine = '', ...lines] = text.split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { status: Number(statusLine.split(' ')[1]), headers }
}

/** RFC 9112 §7.1, without extensions and trailers, which nothing that we test sends. */
function parseChunks(bytes: Buffer): { readonly body: Buffer; readonly isWhole: boolean } {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size =
      lineEnd < 0 ? Number.NaN : Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const start = lineEnd + 2
    if (size === 0) return { body: Buffer.concat(parts), isWhole: bytes.length >= start + 2 }
    if (Number.isNaN(size)) return { body: Buffer.concat(parts), isWhole: false }
    parts.push(bytes.subarray(start, start + size))
    at = start + size + 2
    if (bytes.length < at) return { body: Buffer.concat(parts), isWhole: false }
  }
}
