import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import type { Repository, RepositoryName, UpstreamName } from '../oci/reference.ts'
import type { Flight, FlightDeps, Journey } from './departure.ts'
import { depart } from './departure.ts'
import { DigestMismatch } from './ports.ts'
import { steady } from './steady-clock.ts'
import type { Upstream } from './upstream.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** Downloads that are under way or wait for their upstream: each costs a descriptor, and some memory. */
const MAX_FLIGHTS = 1024
/** How long a failure is remembered: above all a wrong body, so that nobody downloads it again and again. */
const FAILED_FOR_MS = 30_000

interface Departure {
  readonly upstream: UpstreamName
  /** Whose request upstream is answering: a refusal concerns nobody else. */
  readonly asker: RepositoryName
  /** `undefined`: upstream has no such blob. */
  readonly flight: Promise<Flight | undefined>
  /** Once upstream has answered. */
  departed: Flight | undefined
  /** Repositories that have proved that they hold the digest; the first one proves it by the download itself. */
  readonly repositories: Set<RepositoryName>
  readonly controller: AbortController
  /** Resolves when it is no longer aloft, however it ended. */
  readonly ended: Promise<void>
}

/**
 * One download per (upstream, digest) at a time: whoever asks first starts it, everyone else joins.
 *
 * Clients never read from the network. A flight copies upstream's body to a spool at full speed and
 * each client follows the spool at its own pace. So a slow client delays nobody, one that leaves stops
 * nothing (the first included), and one that joins late still gets the first byte.
 */
export class Flights {
  readonly #deps: FlightDeps
  /** Those that can be joined. */
  readonly #aloft = new Map<string, Departure>()
  readonly #departures = new Set<Departure>()
  readonly #failures: LRUCache<string, { readonly reason: unknown }>

  constructor(deps: FlightDeps) {
    this.#deps = deps
    this.#failures = new LRUCache({
      max: 1000,
      ttl: FAILED_FOR_MS,
      ttlResolution: 0,
      perf: steady(deps.clock),
    })
  }

  /** Whether there is a running flight, and this repository may join it without asking upstream first. */
  find(repository: Repository, digest: Digest): 'none' | 'unproved' | 'proved' {
    const departure = this.#running(keyOf(repository.upstream, digest))
    if (departure === undefined) return 'none'
    return departure.repositories.has(repository.name) ? 'proved' : 'unproved'
  }

  /**
   * Joins the running flight or starts one. The caller has proved that the repository holds the digest,
   * unless it starts the flight: then upstream's answer is the proof. `stated` is the size in bytes that a
   * manifest gives, if we hold one.
   */
  async join(
    repository: Repository,
    digest: Digest,
    stated: number | undefined,
    upstream: Upstream,
  ): Promise<Flight | undefined> {
    const key = keyOf(repository.upstream, digest)
    const running = this.#running(key)
    if (running !== undefined) {
      running.repositories.add(repository.name)
      if (running.asker === repository.name) return running.flight
      return this.#joinOther(running, () => this.join(repository, digest, stated, upstream))
    }
    const failure = this.#failures.get(key)
    if (failure?.reason instanceof DigestMismatch) throw failure.reason
    this.#checkLoad()

    const controller = new AbortController()
    const isSuspect = failure !== undefined
    const onFailed = (reason: unknown) => this.#failures.set(key, { reason })
    const journey = { repository, digest, stated, upstream, controller, isSuspect, onFailed }
    return this.#track(key, journey).flight
  }

  /** How many downloads are under way. */
  get aloft(): number {
    return this.#departures.size
  }

  /** Resolves when no flight is aloft. */
  async idle(): Promise<void> {
    while (this.#departures.size > 0) {
      await Promise.all([...this.#departures].map(({ ended }) => ended))
    }
  }

  /** Stops every flight; their spools are kept for whoever asks next. */
  abort(reason: Error): void {
    for (const { controller } of this.#departures) controller.abort(reason)
  }

  /** A flight in memory may have lost its beginning, and then nobody can join it any more. */
  #running(key: string): Departure | undefined {
    const departure = this.#aloft.get(key)
    return departure?.departed?.isPast === true ? undefined : departure
  }

  /** What upstream tells another repository is no answer to this one, unless it is the blob itself. */
  async #joinOther(
    running: Departure,
    startOwn: () => Promise<Flight | undefined>,
  ): Promise<Flight | undefined> {
    const flight = await running.flight.catch(() => undefined)
    if (flight !== undefined) return flight
    await running.ended
    return startOwn()
  }

  /** Forgets the flight once it has landed or failed; failures belong to those who joined. */
  #track(key: string, journey: Journey): Departure {
    const { repository, controller } = journey
    const flight = this.#depart(journey)
    const ended = flight
      .then((departed) => {
        departure.departed = departed
        return departed?.landed
      })
      .catch(() => {})
      .finally(() => {
        this.#departures.delete(departure)
        if (this.#aloft.get(key) === departure) this.#aloft.delete(key)
      })
    const departure: Departure = {
      upstream: repository.upstream,
      asker: repository.name,
      flight,
      departed: undefined,
      repositories: new Set([repository.name]),
      controller,
      ended,
    }
    this.#departures.add(departure)
    this.#aloft.set(key, departure)
    return departure
  }

  async #depart(journey: Journey): Promise<Flight | undefined> {
    try {
      return await depart(journey, this.#deps)
    } catch (reason) {
      const isBusy = reason instanceof UpstreamFailure && reason.kind === 'busy'
      const stopped = isBusy ? this.#makeWay(journey.repository.upstream) : undefined
      if (stopped === undefined) throw reason
      await stopped.ended
      return depart(journey, this.#deps)
    }
  }

  /** Throws when too much is under way already, and all of it is wanted. */
  #checkLoad(): void {
    if (this.#departures.size < MAX_FLIGHTS || this.#makeWay() !== undefined) return
    const load = `${MAX_FLIGHTS} downloads are under way or waiting`
    throw new UpstreamFailure('busy', `${load}: try again later`)
  }

  /** Stops the oldest download that nobody follows any more. */
  #makeWay(upstream?: UpstreamName): Departure | undefined {
    for (const departure of this.#departures) {
      if (upstream !== undefined && departure.upstream !== upstream) continue
      if (departure.departed?.isAbandoned !== true || departure.controller.signal.aborted) continue
      departure.controller.abort(new UpstreamFailure('busy', 'stopped to make way for others'))
      return departure
    }
    return undefined
  }
}

function keyOf(upstream: UpstreamName, digest: Digest): string {
  return `${upstream} ${digest}`
}
