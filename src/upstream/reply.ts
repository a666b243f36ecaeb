import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import { essence } from '../oci/media-types.ts'
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
  readonly body: Readable
  readonly #headers: Dispatcher.ResponseData['headers']
  readonly #clock: Clock
  readonly #signal: AbortSignal

  constructor(what: string, data: Dispatcher.ResponseData, clock: Clock, signal: AbortSignal) {
    this.what = what
    this.status = data.statusCode
    this.body = data.body
    this.#headers = data.headers
    this.#clock = clock
    this.#signal = signal
    // Whoever reads the body sees its error; a body that nobody reads must not end the process.
    this.body.on('error', () => {})
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
    this.body.destroy(new UpstreamFailure('timeout', `${this.what}: the answer takes too long`))
  }

  /** Reads a short rest, so that the connection can be used again; a long or slow one is dropped. */
  async discard(): Promise<void> {
    const { body } = this
    if (body.closed) return
    const closed = new Promise<void>((resolve) => body.once('close', resolve))
    let read = 0
    body.on('data', (chunk: Uint8Array) => {
      read += chunk.length
      if (read > DISCARD_BYTES) this.drop()
    })
    const enough = new AbortController()
    await Promise.race([closed, this.#clock.sleep(DISCARD_MS, enough.signal)])
    enough.abort()
    this.drop()
  }

  /** Ends the connection, unless the body has been read to its end. */
  drop(): void {
    this.body.destroy()
  }
}

async function readUpTo(body: Readable, limit: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > limit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}
