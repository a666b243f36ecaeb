import type { Exchange } from './exchange.ts'
import { ClientLeft } from './exchange.ts'
import type { WriteTurns } from './write-turns.ts'

/** How long a client may keep one write waiting, in milliseconds. */
export interface ClientPatience {
  /** Taking nothing of it. */
  readonly still: number
  /** In all. A write is at most 2 MiB, so this asks for 7 KiB a second, and mostly for less than one. */
  readonly slow: number
}

/** Bytes of its body that everyone is given before anyone is given more, while clients come in a herd. */
const FIRST_BYTES = 16 * 1024
const PATIENCE: ClientPatience = { still: 60_000, slow: 300_000 }

/** Writes a body chunk by chunk, and notices clients that take nothing, next to nothing, or are gone. */
export class BodyWriter {
  readonly #exchange: Exchange
  readonly #turns: WriteTurns
  /** Of the write that is under way. */
  readonly #slow: NodeJS.Timeout
  #isWriting = false
  #fail: ((reason: unknown) => void) | undefined
  readonly #leave = () => this.#fail?.(this.#exchange.signal.reason)

  constructor(exchange: Exchange, turns: WriteTurns, patience = PATIENCE) {
    this.#exchange = exchange
    this.#turns = turns
    exchange.signal.addEventListener('abort', this.#leave, { once: true })
    // The connection's own timeout knows of every byte that the other end takes. Waiting for upstream is
    // not the client's fault: it counts while a write is under way only. One that sends us bytes to keep
    // the connection from looking still is ended by the other timer.
    const { outgoing } = exchange
    outgoing.on('timeout', () => this.#cutIfWriting())
    // The server's, nearly always: setting it once more would start it once more.
    if (outgoing.socket?.timeout !== patience.still) outgoing.setTimeout(patience.still)
    this.#slow = setTimeout(() => this.#cutIfWriting(), patience.slow).unref()
  }

  /** Resolves when the chunk is with the system, and its memory may be reused. Rejects with ClientLeft. */
  write(chunk: Uint8Array): Promise<void> {
    const { outgoing, signal } = this.#exchange
    const turns = this.#turns
    signal.throwIfAborted()
    const isFirst = this.#exchange.bytes === 0
    this.#exchange.bytes += chunk.length
    const isShared = isFirst && turns.isHerd && chunk.length > FIRST_BYTES
    if (isShared) turns.runFirst(() => outgoing.write(chunk.subarray(0, FIRST_BYTES)))
    const rest = isShared ? chunk.subarray(FIRST_BYTES) : chunk
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Node never calls back for a write to a connection that the client has half closed, nor for a
    // pipelined answer whose turn does not come: then only the signal ends the waiting.
    this.#fail = reject
    const write = () => {
      this.#isWriting = true
      this.#slow.refresh()
      outgoing.write(rest, (failure) => {
        this.#isWriting = false
        // Of a connection that breaks under a write, this comes before the signal (EPIPE, ECANCELED).
        if (failure) reject(new ClientLeft())
        else resolve()
      })
    }
    if (isFirst && !isShared) turns.runFirst(write)
    else turns.run(write)
    return promise
  }

  close(): void {
    clearTimeout(this.#slow)
    this.#exchange.signal.removeEventListener('abort', this.#leave)
  }

  #cutIfWriting(): void {
    if (this.#isWriting) this.#exchange.outgoing.destroy()
  }
}
