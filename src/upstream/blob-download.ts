import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { BlobPart } from './blob-part.ts'
import { fromByte, restOfBlob } from './blob-part.ts'
import type { Answer, RegistryClient, RegistryRequest } from './registry-client.ts'
import { backoff } from './retry.ts'
import { ThroughputFloor } from './throughput-floor.ts'
import { isFinal } from './transport-failure.ts'
import { misbehaved, refusal } from './unexpected-answer.ts'

export interface BlobSource {
  readonly client: RegistryClient
  readonly request: RegistryRequest
  readonly signal: AbortSignal
  /** Aborts `signal`, and with it whatever is under way, when the reader leaves. */
  readonly ended: AbortController
}

/** Resumes in a row that bring less than a mebibyte each. */
const MAX_RESUMES = 5
const PROGRESS = 1024 * 1024
/** Answers that begin again at the first byte: each costs all that was here before once more. */
const MAX_RESTARTS = 1
/** For the end of a body after its last byte, which comes with it or not at all. */
const END_MS = 1_000

/**
 * The bytes of one blob, in order, across broken connections. Can be read once. A reader who stops early
 * ends the connection, and so does the signal, even if nobody ever reads.
 */
export class BlobDownload implements AsyncIterable<Uint8Array> {
  readonly #source: BlobSource
  #part: BlobPart
  /** Bytes that the reader has been given. */
  #position: number
  #resumes = 0
  #restarts = 0
  #lastBreak: number

  /** `position`: of the first byte that the reader is given. */
  constructor(source: BlobSource, first: BlobPart, position: number) {
    this.#source = source
    this.#part = first
    this.#position = position
    this.#lastBreak = position
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    const chunks = this.#chunks()
    return {
      next: () => chunks.next(),
      return: () => {
        // Before the generator, which may be held by a read that waits for the network.
        this.#source.ended.abort()
        return chunks.return(undefined)
      },
    }
  }

  async *#chunks(): AsyncGenerator<Uint8Array, undefined> {
    for (;;) {
      const broken = yield* this.#drain()
      if (broken === undefined) return
      this.#source.signal.throwIfAborted()
      this.#part = await this.#resume(broken)
    }
  }

  /** One connection's bytes. Returns why it ended before the blob did, if it did. */
  async *#drain(): AsyncGenerator<Uint8Array, Error | undefined> {
    const { reply, size } = this.#part
    const chunks = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    const floor = new ThroughputFloor()
    let unwanted = this.#part.skip
    try {
      while (this.#position !== size) {
        const chunk = await this.#next(chunks, floor)
        if (chunk === undefined) return size === undefined ? undefined : new Error('it ended early')
        if (chunk instanceof Error) return chunk
        const fresh = chunk.subarray(Math.min(unwanted, chunk.length))
        unwanted -= chunk.length - fresh.length
        const wanted = fresh.subarray(0, (size ?? Infinity) - this.#position)
        this.#position += wanted.length
        if (wanted.length > 0) yield wanted
      }
      await this.#awaitEnd(chunks)
      return undefined
    } finally {
      reply.drop()
    }
  }

  async #next(
    chunks: AsyncIterator<Uint8Array>,
    floor: ThroughputFloor,
  ): Promise<Uint8Array | Error | undefined> {
    const { clock } = this.#source.client
    const asked = clock.now()
    try {
      const next = await chunks.next()
      if (next.done === true) return undefined
      const isFastEnough = floor.admit(next.value.length, clock.now() - asked)
      return isFastEnough ? next.value : new Error('it trickled')
    } catch (cause) {
      // A broken connection is what this class is for: the caller resumes.
      return new Error('the connection broke', { cause })
    }
  }

  /** A connection can be used again only once its body was seen to end. */
  async #awaitEnd(chunks: AsyncIterator<Uint8Array>): Promise<void> {
    const seen = new AbortController()
    const late = this.#source.client.clock.sleep(END_MS, seen.signal)
    // All the bytes are here, so that whatever follows, an error among it, changes nothing.
    const end = chunks.next().catch(() => undefined)
    await Promise.race([end, late])
    seen.abort()
  }

  async #resume(broken: Error): Promise<BlobPart> {
    const { client, signal } = this.#source
    if (this.#position - this.#lastBreak >= PROGRESS) this.#resumes = 0
    this.#lastBreak = this.#position
    for (let reason = broken; ;) {
      if (this.#resumes === MAX_RESUMES) throw this.#giveUp(reason)
      await client.clock.sleep(backoff(this.#resumes), signal)
      signal.throwIfAborted()
      this.#resumes += 1
      const answer = await this.#askForRest()
      if (!(answer instanceof UpstreamFailure)) {
        const part = await this.#accept(answer)
        if (!(part instanceof UpstreamFailure)) return part
        reason = part
      } else {
        if (answer.kind === 'denied' || isFinal(answer)) throw answer
        reason = answer
      }
    }
  }

  /** From the registry, not from where it redirected us before: that URL may have expired. */
  async #askForRest(): Promise<Answer | UpstreamFailure> {
    const { client, request, signal } = this.#source
    const { size } = this.#part
    try {
      const rest = { ...fromByte(request, this.#position, size), isRest: true }
      return await client.ask(rest, signal)
    } catch (failure) {
      if (failure instanceof UpstreamFailure) return failure
      throw failure
    }
  }

  /** Throws what the registry itself says; returns what another attempt may mend. */
  async #accept(answer: Answer): Promise<BlobPart | UpstreamFailure> {
    const { reply, isOwn } = answer
    if (reply.status === 200 || reply.status === 206) {
      const part = restOfBlob(reply, this.#position, this.#part.size)
      if (part.skip === 0) return part
      this.#restarts += 1
      if (this.#restarts <= MAX_RESTARTS) return part
      reply.drop()
      throw this.#giveUp(misbehaved(reply, 'began again at the first byte, not for the first time'))
    }
    const failure = await refusal(answer, this.#source.client.clock.now())
    if (isOwn || reply.status === 416) throw failure
    return failure
  }

  #giveUp(cause: Error): UpstreamFailure {
    const { reply, size } = this.#part
    const where = `broken after ${this.#position} of ${size ?? 'an unknown number of'} bytes`
    const message = `${reply.what}: ${where}, and resuming did not help (${cause.message})`
    return new UpstreamFailure('unavailable', message, { cause })
  }
}
