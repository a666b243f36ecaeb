import type { UpstreamRequestEvent } from '../upstream/options.ts'
import type { RateLimit } from '../upstream/rate-limit.ts'

/** What a client has sent since it was last asked. */
export class RequestTrace {
  #events: UpstreamRequestEvent[] = []
  #rateLimit: RateLimit | undefined

  readonly record = (event: UpstreamRequestEvent): void => {
    this.#events.push(event)
    this.#rateLimit = event.rateLimit ?? this.#rateLimit
  }

  /** What the registry said of it last. */
  get rateLimit(): RateLimit | undefined {
    return this.#rateLimit
  }

  take(): readonly UpstreamRequestEvent[] {
    const events = this.#events
    this.#events = []
    return events
  }
}

/** Milliseconds that they took, one after the other. */
export function totalMs(requests: readonly UpstreamRequestEvent[]): number {
  return requests.reduce((sum, { ms }) => sum + ms, 0)
}

/** The host that had the content, if it is not the one that was asked. */
export function redirectedTo(requests: readonly UpstreamRequestEvent[]): string | undefined {
  const own = requests.filter(({ kind }) => kind !== 'token')
  const last = own.at(-1)?.host
  return last === own[0]?.host ? undefined : last
}
