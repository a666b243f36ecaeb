import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import type { Repository, RepositoryName, UpstreamName } from '../oci/reference.ts'
import type { Flight, FlightDeps, Journey } from './departure.ts'
import { depart } from './departure.ts'
import { DigestMismatch, NoSpace } from './ports.ts'
import type { Purpose } from './purpose.ts'
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
  readonly begunFor: Purpose
  /** Nobody but a warming waits for it. */
  isWarm: boolean
  /** Aborted when a client joins: what waits behind the clients then waits with them. */
  readonly hurry: AbortController
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
  /** Why nothing departs any more. */
  #closedBy: Error | undefined

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
   * manifest gives, if we hold one. A warming's `upstream` is the background lane: a flight that waits for its
   * turn there goes on in that of the clients when one of them joins. Where there is no room, a flight that
   * only a warming waits for fails with NoSpace.
   */
  async join(
    repository: Repository,
    digest: Digest,
    stated: number | undefined,
    upstream: Upstream,
    purpose: Purpose = 'client',
  ): Promise<Flight | undefined> {
    const key = keyOf(repository.upstream, digest)
    const again = () => this.join(repository, digest, stated, upstream, purpose)
    const running = this.#running(key)
    if (running !== undefined) {
      if (purpose === 'client') board(running)
      running.repositories.add(repository.name)
      if (running.asker !== repository.name) return this.#joinOther(running, again)
      return purpose === 'client' ? this.#follow(running, again) : running.flight
    }
    const failure = this.#failures.get(key)
    if (failure?.reason instanceof DigestMismatch) throw failure.reason
    if (this.#closedBy !== undefined) throw this.#closedBy
    this.#checkLoad(purpose)
    const wanted = { repository, digest, stated, upstream, isSuspect: failure !== undefined }
    return this.#track(key, wanted, purpose).flight
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

  /** Stops every flight, and begins none from now on; their spools are kept for whoever asks next. */
  abort(reason: Error): void {
    this.#closedBy = reason
    for (const { controller } of this.#departures) controller.abort(reason)
  }

  /** A flight in memory may have lost its beginning, and then nobody can join it any more. */
  #running(key: string): Departure | undefined {
    const departure = this.#aloft.get(key)
    return departure?.departed?.isPast === true ? undefined : departure
  }

  /** A warming goes without where a client does not: what it failed of then says nothing to the client. */
  async #follow(
    departure: Departure,
    startOwn: () => Promise<Flight | undefined>,
  ): Promise<Flight | undefined> {
    try {
      return await departure.flight
    } catch (reason) {
      if (departure.begunFor === 'client' || !isRestraint(reason)) throw reason
      await departure.ended
      return startOwn()
    }
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
  #track(
    key: string,
    wanted: Omit<Journey, 'controller' | 'hurry' | 'isWarm' | 'onFailed'>,
    purpose: Purpose,
  ): Departure {
    const { repository } = wanted
    const controller = new AbortController()
    const hurry = new AbortController()
    const isWarm = () => departure.isWarm
    const onFailed = (reason: unknown) => this.#failures.set(key, { reason })
    const journey = { ...wanted, controller, hurry: hurry.signal, isWarm, onFailed }
    const flight = this.#depart(journey, purpose)
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
      begunFor: purpose,
      isWarm: purpose === 'warm',
      hurry,
      ended,
    }
    this.#departures.add(departure)
    this.#aloft.set(key, departure)
    return departure
  }

  async #depart(journey: Journey, purpose: Purpose): Promise<Flight | undefined> {
    try {
      return await depart(journey, this.#deps)
    } catch (reason) {
      const isBusy = reason instanceof UpstreamFailure && reason.kind === 'busy'
      const mayStop = isBusy && purpose === 'client'
      const stopped = mayStop ? this.#makeWay(journey.repository.upstream) : undefined
      if (stopped === undefined) throw reason
      await stopped.ended
      return depart(journey, this.#deps)
    }
  }

  /** Throws when too much is under way already, and all of it is wanted; a warming stops nothing. */
  #checkLoad(purpose: Purpose): void {
    if (this.#departures.size < MAX_FLIGHTS) return
    if (purpose === 'client' && this.#makeWay() !== undefined) return
    const load = `${MAX_FLIGHTS} downloads are under way or waiting`
    throw new UpstreamFailure('busy', `${load}: try again later`)
  }

  /**
   * Stops a download that no client waits for: the oldest that only a warming does, which comes back for it,
   * else the oldest that nobody follows any more.
   */
  #makeWay(upstream?: UpstreamName): Departure | undefined {
    const candidates = [...this.#departures].filter(
      (one) =>
        (upstream === undefined || one.upstream === upstream) && !one.controller.signal.aborted,
    )
    // One that has no answer yet may be waiting for a slot, and then has none to give.
    const isInTheWay = (one: Departure) => upstream === undefined || one.departed !== undefined
    const found =
      candidates.find((one) => one.isWarm && isInTheWay(one)) ??
      candidates.find(({ departed }) => departed?.isAbandoned === true)
    found?.controller.abort(new UpstreamFailure('busy', 'stopped to make way for others'))
    return found
  }
}

/** A client waits for it from now on. */
function board(departure: Departure): void {
  if (!departure.isWarm) return
  departure.isWarm = false
  departure.hurry.abort()
}

/** No room or no turn, which a client would be given. */
function isRestraint(reason: unknown): boolean {
  return reason instanceof NoSpace || (reason instanceof UpstreamFailure && reason.kind === 'busy')
}

function keyOf(upstream: UpstreamName, digest: Digest): string {
  return `${upstream} ${digest}`
}
