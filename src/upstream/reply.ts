import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import { essence } from '../oci/media-types.ts'
import type { Head, ReplyBody } from './reply-body.ts'
import { transportFailure } from './transport-failure.ts'

/** What is read of a body that nobody wants, to be able to use its connection again. */
const DISCARD_BYTES = 64 * 1024
const DISCARD_MS = 1_000

/**
 * One answer of an upstream. Its body has to be read, discarded or dropped: until then it holds its
 * connection.
 */
export class Reply {
  readonly status: number
  /** The request, as it may stand in a message. */
  readonly what: string
  readonly body: ReplyBody
  readonly #headers: Head['headers']
  readonly #clock: Clock
  readonly #signal: AbortSignal

  constructor(what: string, head: Head, clock: Clock, signal: AbortSignal) {
    this.what = what
    this.status = head.status
    this.body = head.body
    this.#headers = head.headers
    this.#clock = clock
    this.#signal = signal
  }

  /** `undefined` also if it came more than once: then nobody can tell which is meant. */
  header(name: string): string | undefined {
    const value = this.#headers[name]
    return typeof value === 'string' ? value : undefined
  }

  /** For the headers that may come in several lines. */
  lines(name: string): readonly string[] {
    const value = this.#headers[name]
    return typeof value === 'string' ? [value] : (value ?? [])
  }

  /** The Content-Type without its parameters; empty if there is none. */
  get mediaType(): string {
    return essence(this.header('content-type') ?? '')
  }

  /**
   * The whole body, or `undefined` if it is longer than `limit` bytes. Throws UpstreamFailure when it
   * breaks or is not here after `ms`, however busily it drips.
   */
  async read(limit: number, ms: number): Promise<Uint8Array | undefined> {
    const finished = new AbortController()
    void this.#endAfter(ms, finished.signal)
    try {
      return await readUpTo(this.body, limit)
    } catch (cause) {
      this.#signal.throwIfAborted()
      throw transportFailure(this.what, cause)
    } finally {
      finished.abort()
      this.drop()
    }
  }

  async #endAfter(ms: number, finished: AbortSignal): Promise<void> {
    await this.#clock.sleep(ms, finished)
    if (finished.aborted) return
    this.body.drop(new UpstreamFailure('timeout', `${this.what}: the answer takes too long`))
  }

  /** Reads a short rest, so that the connection can be used again; a long or slow one is dropped. */
  async discard(): Promise<void> {
    const { body } = this
    if (body.isOver) return
    let read = 0
    const seen = body.pump((bytes) => {
      read += bytes.length
      if (read > DISCARD_BYTES) this.drop()
      return undefined
    })
    // Whatever ends it ends it.
    const closed = seen.catch(() => {})
    const enough = new AbortController()
    await Promise.race([closed, this.#clock.sleep(DISCARD_MS, enough.signal)])
    enough.abort()
    this.drop()
  }

  /** Ends the connection, unless the body has been read to its end. */
  drop(reason?: Error): void {
    this.body.drop(reason)
  }
}

async function readUpTo(body: ReplyBody, limit: number): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = []
  let length = 0
  await body
    .pump((bytes) => {
      length += bytes.length
      if (length > limit) body.drop()
      else pieces.push(Uint8Array.from(bytes))
      return undefined
    })
    .catch((reason: unknown) => {
      if (length <= limit) throw reason
    })
  return length > limit ? undefined : Buffer.concat(pieces, length)
}
