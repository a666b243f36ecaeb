import type { Dispatcher } from 'undici'
import type { TakeBytes } from '../core/upstream.ts'
import type { ReadBuffers } from './read-buffers.ts'

type Controller = Dispatcher.DispatchController
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

export interface Head {
  readonly status: number
  readonly headers: Headers
  readonly body: ReplyBody
}

/** Nothing is wrong with the body: whoever took it failed, for the reason that is its cause. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken'
}

/**
 * Sends one request. Any final status is an answer; its body waits until somebody takes it. Rejects with
 * what went wrong, or with the signal's reason, which also ends the body.
 */
export function request(
  agent: Dispatcher,
  options: Dispatcher.DispatchOptions,
  reads: ReadBuffers,
  signal: AbortSignal,
): Promise<Head> {
  const { promise, resolve, reject } = Promise.withResolvers<Head>()
  const body = new ReplyBody(reads, signal)
  try {
    agent.dispatch(options, body.handler(resolve, reject))
  } catch (reason) {
    body.drop(reason)
  }
  return promise
}

/**
 * The body of one answer. Bytes are passed on in the turn in which they arrive, so that a download needs
 * neither a stream nor a promise for each piece.
 */
export class ReplyBody {
  readonly #reads: ReadBuffers
  readonly #signal: AbortSignal
  readonly #onAbort = () => this.drop(this.#signal.reason)
  #controller: Controller | undefined
  #take: TakeBytes | undefined
  /** What came although it was told to wait: the rest of a connection that was closed meanwhile. */
  readonly #early: Uint8Array[] = []
  /** Whoever takes the bytes is not ready for more. */
  #isWaiting = false
  /** The last byte has come. */
  #isWhole = false
  #failure: { readonly reason: unknown } | undefined
  readonly #over = Promise.withResolvers<void>()

  constructor(reads: ReadBuffers, signal: AbortSignal) {
    this.#reads = reads
    this.#signal = signal
    // Whoever takes the body is told; of one that nobody takes, nobody needs to know.
    this.#over.promise.catch(() => {})
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (signal.aborted) this.#onAbort()
  }

  /** All of it is here, or no more will come. */
  get isOver(): boolean {
    return this.#isWhole || this.#failure !== undefined
  }

  /**
   * Gives all bytes to `take`, in order. Rejects if the body breaks or is dropped. With NotTaken if `take` fails,
   * which drops it. Settles only when `take` is not at it any more. To be called once.
   */
  pump(take: TakeBytes): Promise<void> {
    this.#take = take
    this.#goOn()
    return this.#over.promise
  }

  /** The connection goes with it, unless the body is whole. */
  drop(reason: unknown = new Error('nobody wants the rest of the body')): void {
    if (!this.#fail(reason)) return
    this.#controller?.abort(asError(reason))
  }

  /** What undici tells of the request. One of the two is called, once. */
  handler(
    onHead: (head: Head) => void,
    onFailed: (reason: unknown) => void,
  ): Dispatcher.DispatchHandler {
    this.#over.promise.catch(onFailed)
    return {
      onRequestStart: (controller) => {
        this.#controller = controller
        if (this.#failure !== undefined) controller.abort(asError(this.#failure.reason))
      },
      onResponseStart: (controller, status, headers) => {
        // Hints come before the answer (RFC 9110 §15.2).
        if (status < 200) return
        controller.pause()
        onHead({ status, headers, body: this })
      },
      onResponseData: (controller, bytes) => {
        this.#receive(bytes)
        if (this.#isWaiting) controller.pause()
      },
      onResponseEnd: () => {
        this.#isWhole = true
        this.#signal.removeEventListener('abort', this.#onAbort)
        this.#goOn()
      },
      onResponseError: (_, failure) => {
        this.#fail(failure)
      },
    }
  }

  #receive(bytes: Uint8Array): void {
    // Going on makes undici tell of nothing at all, and waiting for that would have it do so for ever.
    if (bytes.length === 0) return
    if (this.#take === undefined || this.#isWaiting || this.#early.length > 0) {
      this.#early.push(Uint8Array.from(bytes))
      return
    }
    this.#give(this.#take, bytes)
    this.#reads.giveBack(bytes)
  }

  #give(take: TakeBytes, bytes: Uint8Array): void {
    try {
      const ready = take(bytes)
      if (ready !== undefined) void this.#await(ready)
    } catch (cause) {
      this.#dropUntaken(cause)
    }
  }

  async #await(ready: Promise<void>): Promise<void> {
    this.#isWaiting = true
    try {
      await ready
    } catch (cause) {
      this.#dropUntaken(cause)
    }
    this.#isWaiting = false
    if (this.#failure === undefined) this.#goOn()
    else this.#over.reject(this.#failure.reason)
  }

  #dropUntaken(cause: unknown): void {
    this.drop(new NotTaken('the body could not be passed on', { cause }))
  }

  #goOn(): void {
    const take = this.#take
    if (take === undefined) return
    while (!this.#isWaiting && this.#failure === undefined) {
      const early = this.#early.shift()
      if (early === undefined) return this.#askForMore()
      this.#give(take, early)
    }
  }

  #askForMore(): void {
    if (this.#isWhole) this.#over.resolve()
    else this.#controller?.resume()
  }

  /** Whether it was not over yet. */
  #fail(reason: unknown): boolean {
    if (this.#failure !== undefined) return false
    this.#failure = { reason }
    this.#early.length = 0
    this.#signal.removeEventListener('abort', this.#onAbort)
    // What is being taken counts: whoever goes on elsewhere has to know how far this came.
    if (!this.#isWaiting) this.#over.reject(reason)
    return !this.#isWhole
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
