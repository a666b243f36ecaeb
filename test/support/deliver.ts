import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './fake-answer.ts'
import type { FaultAction, Hold } from './fault.ts'
import type { RecordedRequest } from './recorded-request.ts'

/** What stays of the kernel's buffers is lost with an RST: time for the client to have read it. */
const BEFORE_RESET_MS = 20

/** What Node refuses to send in a header, and a server in trouble may send nevertheless. */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/

/** Sends the answer in the way that the fault says. Resolves when it is sent or the client is gone. */
export async function deliver(
  response: ServerResponse,
  answer: Answer,
  action: FaultAction,
  record: RecordedRequest,
): Promise<void> {
  const delivery = new Delivery(response, record)
  try {
    await delivery.run(answer, action)
  } finally {
    delivery.end()
  }
}

/** One response on its way. Ends early, without an error, when the client leaves. */
class Delivery {
  readonly #response: ServerResponse
  readonly #record: RecordedRequest
  readonly #gone = new AbortController()

  constructor(response: ServerResponse, record: RecordedRequest) {
    this.#response = response
    this.#record = record
    response.on('close', this.end)
  }

  readonly end = (): void => this.#gone.abort()

  async run(answer: Answer, action: FaultAction): Promise<void> {
    const socket = await this.#socket()
    if (socket === undefined) return
    if (action.delay !== undefined) await this.#pause(action.delay)
    if (action.until !== undefined) await this.#wait(action.until)
    if (action.stall === true) await this.#forever()
    if (this.#gone.signal.aborted) return
    if (action.hangUp !== undefined) {
      close(socket, action.hangUp)
    } else if (action.raw !== undefined) {
      socket.end(action.raw)
      await this.#forever()
    } else if (hasUnsendable(answer)) {
      this.#record.status = answer.status
      socket.end(rawHead(answer), 'latin1')
      await this.#forever()
    } else {
      if (action.rawBefore !== undefined) socket.write(action.rawBefore)
      await this.#answer(answer, action, socket)
    }
  }

  /** The connection, once the answer before it on the same one has ended; `undefined` if that never comes. */
  async #socket(): Promise<Socket | undefined> {
    const response = this.#response
    if (response.socket === null) {
      await this.#wait(new Promise((resolve) => response.once('socket', resolve)))
    }
    return response.socket ?? undefined
  }

  async #answer(answer: Answer, action: FaultAction, socket: Socket): Promise<void> {
    this.#writeHead(answer, action)
    const isHead = this.#record.method === 'HEAD'
    const sent = isHead ? 0 : await this.#sendBody(answer, action, socket)
    if (this.#gone.signal.aborted) return
    const isShort = !isHead && typeof action.length === 'number' && action.length > sent
    if (isShort) return close(socket, 'fin')
    await new Promise<void>((resolve) => {
      this.#gone.signal.addEventListener('abort', () => resolve())
      this.#response.end(() => resolve())
    })
    if (action.rawAfter === undefined) return
    await sleep(action.rawAfter.delay ?? 0)
    if (!socket.destroyed) socket.write(action.rawAfter.bytes)
  }

  #writeHead({ status, headers, body }: Answer, { length }: FaultAction): void {
    const response = this.#response
    this.#record.status = status
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (length === 'close') {
      response.useChunkedEncodingByDefault = false
      response.shouldKeepAlive = false
    } else if (length !== 'chunked') {
      const claimed = length ?? body.size
      if (claimed !== Infinity) response.setHeader('content-length', claimed)
    }
    response.writeHead(status)
    response.flushHeaders()
  }

  async #sendBody({ body }: Answer, action: FaultAction, socket: Socket): Promise<number> {
    const stops = stopsOf(action)
    const limit = action.drip?.bytes ?? Infinity
    let sent = 0
    await this.#halt(stops.get(0), socket)
    for (const chunk of body.read(0, body.size)) {
      for (const piece of cutAt(chunk, sent, stops, limit)) {
        if (this.#gone.signal.aborted) return sent
        await this.#write(piece)
        sent += piece.length
        await this.#halt(stops.get(sent), socket)
        if (action.drip !== undefined) await this.#pause(action.drip.everyMs)
      }
    }
    return sent
  }

  /** Resolves when the kernel has taken the bytes, so that memory and counts follow the client's pace. */
  #write(piece: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        this.#gone.signal.removeEventListener('abort', finish)
        resolve()
      }
      this.#gone.signal.addEventListener('abort', finish)
      this.#response.write(piece, (error) => {
        if (error === undefined || error === null) this.#record.bytesSent += piece.length
        finish()
      })
    })
  }

  async #halt(stop: Stop | undefined, socket: Socket): Promise<void> {
    if (stop === undefined || this.#gone.signal.aborted) return
    if (stop.hold !== undefined) {
      stop.hold.reached?.()
      await this.#wait(stop.hold.until)
    }
    if (stop.stall) await this.#forever()
    if (stop.cut === undefined || this.#gone.signal.aborted) return
    if (stop.cut === 'reset') await this.#pause(BEFORE_RESET_MS)
    close(socket, stop.cut)
    this.end()
  }

  #forever(): Promise<void> {
    return this.#wait(new Promise(() => undefined))
  }

  async #wait(until: Promise<unknown>): Promise<void> {
    const { promise: left, resolve } = Promise.withResolvers<void>()
    if (this.#gone.signal.aborted) return
    this.#gone.signal.addEventListener('abort', () => resolve(), { once: true })
    await Promise.race([left, until])
  }

  async #pause(ms: number): Promise<void> {
    // Rejects only for the abort: then the client has left, which is no failure of the fake.
    await sleep(ms, undefined, { signal: this.#gone.signal }).catch(() => undefined)
  }
}

/** What happens when so many bytes have been sent. */
interface Stop {
  readonly hold?: Hold
  readonly stall: boolean
  readonly cut?: 'fin' | 'reset'
}

function stopsOf({ hold, stallAfter, cut }: FaultAction): Map<number, Stop> {
  const stops = new Map<number, Stop>()
  for (const at of [hold?.after, stallAfter, cut?.after]) {
    if (at === undefined) continue
    stops.set(at, {
      ...(hold?.after === at ? { hold } : {}),
      stall: stallAfter === at,
      ...(cut?.after === at ? { cut: cut.how } : {}),
    })
  }
  return stops
}

/** The chunk in pieces that end exactly at the stops, and are no longer than `limit`. */
function* cutAt(
  chunk: Uint8Array,
  offset: number,
  stops: ReadonlyMap<number, Stop>,
  limit: number,
): Iterable<Uint8Array> {
  let start = 0
  while (start < chunk.length) {
    let end = Math.min(chunk.length, start + limit)
    for (const stop of stops.keys()) {
      const at = stop - offset
      if (at > start && at < end) end = at
    }
    yield chunk.subarray(start, end)
    start = end
  }
}

function hasUnsendable({ headers }: Answer): boolean {
  return Object.values(headers).some((value) => [value].flat().some((one) => UNSENDABLE.test(one)))
}

/** Whoever reads this far has already met what it is about, so that no body follows. */
function rawHead({ status, headers }: Answer): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}`),
  )
  return [`HTTP/1.1 ${status} Fake`, ...lines, 'content-length: 0', '', ''].join('\r\n')
}

function close(socket: Socket, how: 'fin' | 'reset'): void {
  if (how === 'reset') socket.resetAndDestroy()
  else socket.destroySoon()
}
