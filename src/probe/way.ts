import type { UpstreamConfig } from '../config/config.ts'
import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { UpstreamRequestEvent } from '../upstream/options.ts'
import { adviceFor } from './advice.ts'
import type { Hop, HopName } from './hop.ts'
import { RequestTrace, totalMs } from './request-trace.ts'

/** A hop failed and has been reported, so that there is no use in going on. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
}

export interface WayDeps {
  readonly clock: Clock
  readonly report: (hop: Hop) => void
}

/** The hops behind one upstream, reported as they are made. Ends, with Stopped, at the first that fails. */
export class Way {
  readonly upstream: UpstreamConfig
  readonly trace = new RequestTrace()
  readonly #deps: WayDeps

  constructor(upstream: UpstreamConfig, deps: WayDeps) {
    this.upstream = upstream
    this.#deps = deps
  }

  /** Reports it, and stops if it failed. */
  say(hop: Hop): void {
    this.#deps.report(hop)
    if (hop.outcome === 'failed') throw new Stopped(hop.text)
  }

  fail(name: HopName, failure: UpstreamFailure, requests: readonly UpstreamRequestEvent[]): never {
    const facts = { requests, ms: totalMs(requests) }
    this.say({ name, outcome: 'failed', ...this.#explain(name, failure, requests), ...facts })
    throw failure
  }

  /** A hop that sends no request of the registry's API. `isLast`: nothing else can be tried instead. */
  async reach(name: HopName, isLast: boolean, task: () => Promise<string>): Promise<boolean> {
    const { clock } = this.#deps
    const started = clock.now()
    try {
      const text = await task()
      this.say({ name, outcome: 'ok', text, ms: clock.now() - started })
      return true
    } catch (failure) {
      if (!(failure instanceof UpstreamFailure)) throw failure
      const advice = adviceFor(name, failure, this.upstream)
      const ms = clock.now() - started
      const outcome = isLast ? 'failed' : 'warned'
      this.say({ name, outcome, text: failure.message, ms, advice })
      return false
    }
  }

  /** The answer to a request, or what went wrong with it; and what it took. */
  async ask<T>(task: () => Promise<T | undefined>): Promise<{
    readonly answer: T | undefined | UpstreamFailure
    readonly requests: readonly UpstreamRequestEvent[]
  }> {
    try {
      return { answer: await task(), requests: this.trace.take() }
    } catch (failure) {
      if (!(failure instanceof UpstreamFailure)) throw failure
      return { answer: failure, requests: this.trace.take() }
    }
  }

  #explain(
    name: HopName,
    failure: UpstreamFailure,
    requests: readonly UpstreamRequestEvent[],
  ): Required<Pick<Hop, 'text' | 'advice'>> {
    const { message, cause } = failure
    // Where nothing was sent, it is the credentials that could not be had, and the cause says why.
    if (requests.length === 0 && cause instanceof Error) {
      return { text: cause.message, advice: `mend the \`auth\` of ${this.upstream.name}` }
    }
    return { text: message, advice: adviceFor(name, failure, this.upstream) }
  }
}
