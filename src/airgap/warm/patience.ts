import type { Clock } from '../../core/ports.ts'
import { untilAborted } from '../../core/until-aborted.ts'
import { UpstreamFailure } from '../../core/upstream-failure.ts'
import type { UpstreamName } from '../../oci/reference.ts'

const ATTEMPTS = 5
/** Our own queue is full: it moves on as downloads end. */
const BUSY_ATTEMPTS = 30
const FIRST_PAUSE_MS = 1_000
/** An upstream that asks for more is not waited for: the next run is the better time. */
const LONGEST_PAUSE_MS = 60_000

/** Tries again what may pass by itself, as long as that makes sense for the upstream. */
export class Patience {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  /** They have failed to the end, and have not answered since: nothing waits for them a second time. */
  readonly #given = new Set<UpstreamName>()

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
  }

  /** Throws the last failure, or the signal's reason. What is behind the task may go on. */
  async ask<T>(upstream: UpstreamName, task: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const result = await untilAborted(task(), this.#signal)
        this.#given.delete(upstream)
        return result
      } catch (reason) {
        this.#signal.throwIfAborted()
        const pause = this.#pauseAfter(reason, attempt, upstream)
        if (pause === undefined) throw reason
        await this.#clock.sleep(pause, this.#signal)
        this.#signal.throwIfAborted()
      }
    }
  }

  /** Milliseconds; `undefined`: it is final. */
  #pauseAfter(reason: unknown, attempt: number, upstream: UpstreamName): number | undefined {
    if (!(reason instanceof UpstreamFailure) || !mayPass(reason)) return undefined
    const isBusy = reason.kind === 'busy'
    const asked = (reason.retryAfter ?? 0) * 1000
    const isLast = attempt >= (isBusy ? BUSY_ATTEMPTS : ATTEMPTS) || asked > LONGEST_PAUSE_MS
    if (isLast || (!isBusy && this.#given.has(upstream))) {
      if (!isBusy) this.#given.add(upstream)
      return undefined
    }
    const pause = FIRST_PAUSE_MS * 2 ** Math.min(attempt - 1, 4)
    return Math.max(asked, pause * (0.75 + Math.random() / 4))
  }
}

function mayPass({ kind }: UpstreamFailure): boolean {
  return ['unavailable', 'timeout', 'rate-limited', 'busy'].includes(kind)
}
