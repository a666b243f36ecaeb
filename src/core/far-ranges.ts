import type { ByteRange, RangeSpec } from '../oci/byte-range.ts'
import { resolveRange } from '../oci/byte-range.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import type { Wait } from './deadline.ts'
import { LATE, waitUntil } from './deadline.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import type { Pace } from './pace.ts'
import type { Clock, OpenBlob } from './ports.ts'
import { WITHHELD_BYTES } from './ports.ts'
import type { BlobBody, Upstream, UpstreamBlob } from './upstream.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** Bytes: more than this is a download of its own, and downloads are shared. */
const MAX_BYTES = 4 * 1024 * 1024
/** Milliseconds: what the download brings earlier than this is not worth another request. */
const FAR_MS = 2_000
const MAX_AT_A_TIME = 4
/** Milliseconds for upstream's answer, and for all of it, however slowly the client takes it. */
const ANSWER_WITHIN_MS = 5_000
const END_WITHIN_MS = 30_000

/** The download that a range is ahead of. */
export interface Course {
  readonly pace: Pace
  /** Aborts when the download fails. */
  readonly failed: AbortSignal
  /** It has failed before, and not long ago. */
  readonly isSuspect: boolean
  readonly clock: Clock
  readonly log: Log
}

export interface FarRequest {
  readonly repository: Repository
  readonly digest: Digest
  readonly range: ByteRange
  /** Bytes of the whole blob. */
  readonly size: number
}

/**
 * Ranges far ahead of one download: lazy pullers read the index at the end of a layer first. They come
 * straight from upstream, past the digest check, so they are few, short, never stored, and end with the
 * download that fails; and there are no more once upstream has sent something else. Whatever goes wrong with
 * one, the download brings the same bytes, only later.
 */
export class FarRanges {
  readonly #course: Course
  #underWay = 0
  #isRefused = false

  constructor(course: Course) {
    this.#course = course
  }

  /**
   * Reads the range from upstream and everything else from `followed`, which it closes with itself.
   * `undefined` if following is better or the only way. Rejects only if the client leaves.
   */
  async open(
    request: FarRequest,
    followed: OpenBlob,
    upstream: Upstream,
    { until, signal }: Wait,
  ): Promise<OpenBlob | undefined> {
    if (!this.#isWorthwhile(request)) return undefined
    const ended = this.#begin()
    try {
      const any = AbortSignal.any([signal, this.#course.failed, ended.signal])
      const { body } = await this.#ask(request, upstream, until, any)
      const onBreak = (reason: unknown) => this.#tell(request, reason)
      return new FarBlob({ followed, range: request.range, body, ended, onBreak })
    } catch (reason) {
      ended.abort()
      signal.throwIfAborted()
      this.#tell(request, reason)
      return undefined
    }
  }

  #isWorthwhile({ range, size }: FarRequest): boolean {
    const { pace, failed, isSuspect } = this.#course
    if (failed.aborted || this.#isRefused || this.#underWay === MAX_AT_A_TIME) return false
    // What made the download fail is most of all a reason to doubt the end, which is checked last.
    if (isSuspect && range.end > size - WITHHELD_BYTES) return false
    return range.end - range.start <= MAX_BYTES && pace.msUntil(range.start) >= FAR_MS
  }

  /** Whoever aborts what this returns ends the range; time does so too. */
  #begin(): AbortController {
    const ended = new AbortController()
    this.#underWay += 1
    ended.signal.addEventListener('abort', () => (this.#underWay -= 1), { once: true })
    void this.#course.clock.sleep(END_WITHIN_MS, ended.signal).then(() => ended.abort())
    return ended
  }

  async #ask(
    { repository, digest, range, size }: FarRequest,
    upstream: Upstream,
    until: number,
    signal: AbortSignal,
  ): Promise<UpstreamBlob> {
    const { clock } = this.#course
    const asked = upstream.getBlobRange(repository.name, digest, range, signal)
    const soon = Math.min(clock.now() + ANSWER_WITHIN_MS, until)
    const part = await waitUntil(asked, soon, clock, signal)
    if (part === LATE) throw new UpstreamFailure('timeout', 'upstream did not answer in time')
    if (part === undefined) throw new UpstreamFailure('misbehaved', 'upstream denies the blob')
    if (part.size === undefined || part.size === size) return part
    const message = `upstream says that the blob has ${part.size} bytes, and said ${size} before`
    throw new UpstreamFailure('misbehaved', message)
  }

  #tell({ repository, digest, range }: FarRequest, reason: unknown): void {
    if (reason instanceof UpstreamFailure && reason.kind === 'misbehaved') this.#isRefused = true
    const { start, end } = range
    const fields = { ...about(repository), digest, start, end, error: reason }
    this.#course.log.debug(fields, 'followed the download instead of a far range')
  }
}

interface FarParts {
  readonly followed: OpenBlob
  readonly range: ByteRange
  readonly body: BlobBody
  readonly ended: AbortController
  readonly onBreak: (reason: unknown) => void
}

/** A blob of which one range comes from elsewhere, as far as it does. */
class FarBlob implements OpenBlob {
  readonly size: number | undefined
  readonly #parts: FarParts

  constructor(parts: FarParts) {
    this.size = parts.followed.size
    this.#parts = parts
  }

  async pump(
    range: ByteRange,
    write: (chunk: Uint8Array) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { followed, range: far } = this.#parts
    const isFar = range.start === far.start && range.end === far.end
    const start = range.start + (isFar ? await this.#copy(write, signal) : 0)
    if (start < range.end) await followed.pump({ start, end: range.end }, write, signal)
  }

  async close(): Promise<void> {
    this.#parts.ended.abort()
    await this.#parts.followed.close()
  }

  /** How many bytes came, however they ended. */
  async #copy(write: (chunk: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<number> {
    const { body, ended, onBreak } = this.#parts
    let copied = 0
    let refusal: { readonly reason: unknown } | undefined
    try {
      await body.pump(async (bytes) => {
        try {
          await write(Uint8Array.from(bytes))
        } catch (reason) {
          refusal = { reason }
          throw reason
        }
        copied += bytes.length
      })
    } catch (reason) {
      if (refusal !== undefined) throw refusal.reason
      signal.throwIfAborted()
      // The download has the rest.
      onBreak(reason)
    }
    ended.abort()
    return copied
  }
}

/**
 * What may be fetched apart from its download. An open-ended range is one client's share of the whole;
 * a list of ranges would cost upstream a request for each.
 */
export function soleClosedRange(
  ranges: readonly RangeSpec[] | undefined,
  size: number,
): ByteRange | undefined {
  const [sole, ...others] = ranges ?? []
  if (sole === undefined || others.length > 0) return undefined
  const isOpenEnded = 'first' in sole && sole.last === undefined
  return isOpenEnded ? undefined : resolveRange(sole, size)
}
