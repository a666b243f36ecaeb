import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { CircuitEvent, CircuitState } from '../core/upstream-state.ts'
import type { RequestKind } from './options.ts'

/** Failures in a row that open it. One request that is tried three times is three. */
const THRESHOLD = 5
/** Milliseconds that it is open first; doubled each time that the endpoint turns out to be still away. */
const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 30_000
/** The same after a 429 that does not say when to come back. */
const FIRST_LIMITED_PAUSE = 10_000
const LONGEST_LIMITED_PAUSE = 5 * 60_000

/** Whatever is not about the endpoint itself (an abort, our own fault) says nothing: `undefined`. */
export type Verdict = 'answered' | UpstreamFailure | undefined

interface Opening {
  /** What opened it, and why as a sentence. */
  readonly failure: UpstreamFailure
  /** The kind of request that was refused. */
  readonly kind: RequestKind
  readonly until: number
}

/**
 * Stands before one endpoint. After failures in a row, or one 429, nobody is let through for a while, so
 * that nothing waits for a registry that is known to be away; then one request finds out whether it is back.
 *
 * closed -(failures)-> open -(time)-> half-open -(answer)-> closed, or -(failure)-> open for longer
 */
export class Circuit {
  readonly #host: string
  readonly #clock: Pick<Clock, 'now'>
  readonly #onChange: (event: CircuitEvent) => void
  #name: CircuitState['name'] = 'closed'
  #since: number
  /** What it waits out; while half-open, what it has waited out. */
  #opening: Opening | undefined
  #changes = 0
  #failures = 0
  /** Openings since the last answer. */
  #openings = 0

  constructor(
    host: string,
    clock: Pick<Clock, 'now'>,
    onChange: (event: CircuitEvent) => void = () => {},
  ) {
    this.#host = host
    this.#clock = clock
    this.#onChange = onChange
    this.#since = clock.now()
  }

  /**
   * Lets a request through, or throws UpstreamFailure at once. What it returns is called once, with how
   * that went.
   */
  enter(kind: RequestKind): (verdict: Verdict) => void {
    const refused = this.refusal(kind)
    if (refused !== undefined) throw refused
    if (this.#isNotMeant(kind)) return () => {}
    if (this.#name === 'open') this.#change('half-open')
    const changes = this.#changes
    return (verdict) => {
      // What was asked before the last change is older news than that change.
      if (this.#changes === changes) this.#settle(kind, verdict)
    }
  }

  /** Why such a request would not be let through now. */
  refusal(kind: RequestKind): UpstreamFailure | undefined {
    const opening = this.#opening
    if (opening === undefined || this.#isNotMeant(kind)) return undefined
    const now = this.#clock.now()
    if (this.#name === 'open' && now >= opening.until) return undefined
    const seconds = Math.max(1, Math.ceil((opening.until - now) / 1000))
    const plan =
      this.#name === 'open' ? `it is asked again in ${seconds} s` : 'it is being asked again'
    return new UpstreamFailure(
      opening.failure.kind === 'rate-limited' ? 'rate-limited' : 'unavailable',
      `${this.#host} was not asked, because it failed before, and ${plan} (${opening.failure.message})`,
      { cause: opening.failure, retryAfter: seconds, wasAsked: false },
    )
  }

  state(): CircuitState {
    return {
      name: this.#name,
      since: this.#since,
      until: this.#name === 'open' ? this.#opening?.until : undefined,
      reason: this.#opening?.failure.message,
    }
  }

  /** Registries that count manifests (Docker Hub) go on serving the blobs of those that were counted. */
  #isNotMeant(kind: RequestKind): boolean {
    const opening = this.#opening
    return opening?.failure.kind === 'rate-limited' && kind === 'blob' && opening.kind !== 'blob'
  }

  #settle(kind: RequestKind, verdict: Verdict): void {
    if (verdict === 'answered') {
      this.#failures = 0
      if (this.#name === 'half-open') this.#close()
    } else if (verdict !== undefined) {
      this.#failures += 1
      const isProof = this.#name === 'half-open' || verdict.kind === 'rate-limited'
      if (isProof || this.#failures >= THRESHOLD) this.#open(kind, verdict)
    } else if (this.#name === 'half-open') {
      // Nothing was learnt: the next request finds out.
      this.#change('open')
    }
  }

  #open(kind: RequestKind, failure: UpstreamFailure): void {
    const until = this.#clock.now() + pauseAfter(failure, this.#openings)
    this.#openings += 1
    this.#opening = { failure, kind, until }
    this.#change('open')
  }

  #close(): void {
    this.#openings = 0
    this.#opening = undefined
    this.#change('closed')
  }

  #change(to: CircuitState['name']): void {
    const from = this.#name
    this.#name = to
    this.#changes += 1
    this.#since = this.#clock.now()
    const { until, reason } = this.state()
    this.#onChange({ host: this.#host, from, to, until, reason })
  }
}

/** An endpoint that refuses us is there; a client that has left says nothing about it. */
export function verdictOf(reason: unknown): Verdict {
  if (!(reason instanceof UpstreamFailure)) return undefined
  return reason.kind === 'denied' ? 'answered' : reason
}

/** Milliseconds; at random within half of it, so that mirrors do not come back in step. */
function pauseAfter({ kind, retryAfter }: UpstreamFailure, openings: number): number {
  if (kind === 'rate-limited' && retryAfter !== undefined) return retryAfter * 1000
  const [first, longest] =
    kind === 'rate-limited'
      ? [FIRST_LIMITED_PAUSE, LONGEST_LIMITED_PAUSE]
      : [FIRST_PAUSE, LONGEST_PAUSE]
  return Math.min(longest, first * 2 ** openings) * (0.5 + Math.random() / 2)
}
