import type { BlobBody, TakeBytes } from '../core/upstream.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { BlobPart } from './blob-part.ts'
import { fromByte, restOfBlob } from './blob-part.ts'
import type { Answer, RegistryClient, RegistryRequest } from './registry-client.ts'
import { NotTaken } from './reply-body.ts'
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
 * The bytes of one blob, in order, across broken connections. Can be read once. A reader who fails ends the
 * connection, and so does the signal, even if nobody ever reads.
 */
export class BlobDownload implements BlobBody {
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

  async pump(take: TakeBytes): Promise<void> {
    try {
      for (;;) {
        const broken = await this.#drain(take)
        if (broken === undefined) return
        this.#source.signal.throwIfAborted()
        this.#part = await this.#resume(broken)
      }
    } catch (reason) {
      this.#source.ended.abort()
      throw reason
    }
  }

  /** One connection's bytes. Resolves to why it ended before the blob did, if it did. */
  async #drain(take: TakeBytes): Promise<Error | undefined> {
    const { reply, size } = this.#part
    const end = new AbortController()
    if (this.#position === size) void this.#dropSoon(end.signal)
    try {
      await reply.body.pump(this.#passOn(take, end.signal))
    } catch (cause) {
      if (cause instanceof NotTaken) throw cause.cause
      // A broken connection is what this class is for: the caller resumes. All bytes may be here even so.
      if (this.#position === size) return undefined
      return cause instanceof Trickle ? cause : new Error('the connection broke', { cause })
    } finally {
      end.abort()
      reply.drop()
    }
    return size === undefined || this.#position === size ? undefined : new Error('it ended early')
  }

  /** Leaves out what was taken before, and what goes beyond the end. */
  #passOn(take: TakeBytes, ended: AbortSignal): TakeBytes {
    const { reply, size } = this.#part
    const { clock } = this.#source.client
    const floor = new ThroughputFloor()
    let unwanted = this.#part.skip
    let asked = clock.now()
    return (bytes) => {
      if (!floor.admit(bytes.length, clock.now() - asked)) {
        reply.drop(new Trickle('it trickled'))
        return undefined
      }
      asked = clock.now()
      const fresh = bytes.subarray(Math.min(unwanted, bytes.length))
      unwanted -= bytes.length - fresh.length
      const wanted = fresh.subarray(0, (size ?? Infinity) - this.#position)
      if (wanted.length === 0) return undefined
      this.#position += wanted.length
      if (this.#position === size) void this.#dropSoon(ended)
      const ready = take(wanted)
      return ready && ready.finally(() => (asked = clock.now()))
    }
  }

  /**
   * A connection can be used again only once its body was seen to end. All the bytes are here, so that
   * whatever follows, an error among it, changes nothing.
   */
  async #dropSoon(ended: AbortSignal): Promise<void> {
    await this.#source.client.clock.sleep(END_MS, ended)
    this.#part.reply.drop()
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

class Trickle extends Error {
  override readonly name = 'Trickle'
}
