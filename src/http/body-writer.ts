import type { Exchange } from './exchange.ts'
import { ClientLeft } from './exchange.ts'

/** Milliseconds that a client may take nothing of what was written to it. */
const NO_PROGRESS_MS = 60_000

/** Writes a body chunk by chunk, and notices clients that take nothing or are gone. */
export class BodyWriter {
  readonly #exchange: Exchange
  #fail: ((reason: unknown) => void) | undefined
  readonly #leave = () => this.#fail?.(this.#exchange.signal.reason)

  constructor(exchange: Exchange) {
    this.#exchange = exchange
    exchange.signal.addEventListener('abort', this.#leave, { once: true })
    // Waiting for upstream is not the client's fault: the time counts while a write is under way only.
    exchange.outgoing.setTimeout(0)
  }

  /** Resolves when the chunk is with the system, and its memory may be reused. Rejects with ClientLeft. */
  write(chunk: Uint8Array): Promise<void> {
    const { outgoing, signal } = this.#exchange
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Node never calls back for a write to a connection that the client has half closed, nor for a
    // pipelined answer whose turn does not come: then only the signal ends the waiting.
    this.#fail = reject
    outgoing.setTimeout(NO_PROGRESS_MS)
    outgoing.write(chunk, (failure) => {
      outgoing.setTimeout(0)
      // Of a connection that breaks under a write, this comes before the signal (EPIPE, ECANCELED).
      if (failure) reject(new ClientLeft())
      else resolve()
    })
    this.#exchange.bytes += chunk.length
    return promise
  }

  close(): void {
    this.#exchange.signal.removeEventListener('abort', this.#leave)
  }
}
