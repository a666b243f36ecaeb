import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import type { Repository, RepositoryName, UpstreamName } from '../oci/reference.ts'
import { FarRanges } from './far-ranges.ts'
import type { KeyedLock } from './keyed-lock.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import { Pace } from './pace.ts'
import type { BlobStore, Catalog, Clock, OpenBlob, Spool, Upstream, UpstreamBlob } from './ports.ts'
import { DigestMismatch, UpstreamFailure } from './ports.ts'
import type { Quota, Reservation } from './quota.ts'

/** Bytes reserved at a time for a body whose length upstream does not say. */
const RESERVE_STEP = 64 * 1024 * 1024
/** Bytes: up to here a body is checked before anything is said about it. */
const SMALL = 1024 * 1024
/** How long a failure is remembered: above all a wrong body, so that nobody downloads it again and again. */
const FAILED_FOR_MS = 30_000

/** One download of one blob, shared by everyone who asks while it runs. */
export interface Flight {
  /** Bytes; `undefined` while upstream has not said. */
  readonly size: number | undefined
  /**
   * Follows the download from any position; its pumps fail if the download fails or the digest is wrong.
   * `undefined` when it has ended and the last follower has left.
   */
  open(): OpenBlob | undefined
  /**
   * Settles when a client may be told that there is such a blob: for a small one once its digest has been
   * checked, so that a wrong one becomes an error status and not a cut connection.
   */
  readonly presentable: Promise<void>
  /** Settles when the blob is stored, or the download has failed. */
  readonly landed: Promise<void>
  /** For what is wanted long before the download gets there. */
  readonly far: FarRanges
}

interface Departure {
  /** Whose request upstream is answering: a refusal concerns nobody else. */
  readonly asker: RepositoryName
  /** `undefined`: upstream has no such blob. */
  readonly flight: Promise<Flight | undefined>
  /** Repositories that have proved that they hold the digest; the first one proves it by the download itself. */
  readonly repositories: Set<RepositoryName>
  readonly controller: AbortController
  /** Resolves when it is no longer aloft, however it ended. */
  readonly ended: Promise<void>
}

export interface FlightDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly quota: Quota
  readonly locks: KeyedLock<Digest>
  readonly clock: Clock
  readonly log: Log
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
  readonly #aloft = new Map<string, Departure>()
  readonly #landings = new Set<Promise<void>>()
  readonly #failures: LRUCache<string, { readonly reason: unknown }>

  constructor(deps: FlightDeps) {
    this.#deps = deps
    this.#failures = new LRUCache({
      max: 1000,
      ttl: FAILED_FOR_MS,
      ttlResolution: 0,
      perf: deps.clock,
    })
  }

  /** Whether there is a running flight, and this repository may join it without asking upstream first. */
  find(repository: Repository, digest: Digest): 'none' | 'unproved' | 'proved' {
    const departure = this.#aloft.get(keyOf(repository.upstream, digest))
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
    const running = this.#aloft.get(key)
    if (running !== undefined) {
      running.repositories.add(repository.name)
      if (running.asker === repository.name) return running.flight
      return this.#joinOther(running, () => this.join(repository, digest, stated, upstream))
    }
    const failure = this.#failures.get(key)
    if (failure?.reason instanceof DigestMismatch) throw failure.reason

    const controller = new AbortController()
    const flight = this.#depart(repository, digest, stated, upstream, controller)
    const ended = this.#track(key, flight)
    const repositories = new Set([repository.name])
    this.#aloft.set(key, { asker: repository.name, flight, repositories, controller, ended })
    return flight
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

  /** Resolves when no flight is aloft. */
  async idle(): Promise<void> {
    while (this.#landings.size > 0) await Promise.allSettled(this.#landings)
  }

  /** Stops every flight; their spools are removed. */
  abort(reason: Error): void {
    for (const { controller } of this.#aloft.values()) controller.abort(reason)
  }

  /** Forgets the flight once it has landed or failed; failures belong to those who joined. */
  #track(key: string, flight: Promise<Flight | undefined>): Promise<void> {
    const ended = flight
      .then((departed) => departed?.landed)
      .catch(() => {})
      .finally(() => {
        this.#aloft.delete(key)
        this.#landings.delete(ended)
      })
    this.#landings.add(ended)
    return ended
  }

  async #depart(
    repository: Repository,
    digest: Digest,
    stated: number | undefined,
    upstream: Upstream,
    controller: AbortController,
  ): Promise<Flight | undefined> {
    const source = await upstream.getBlob(repository.name, digest, controller.signal)
    if (source === undefined) return undefined
    let reservation: Reservation | undefined
    try {
      const size = agreeOnSize(source.size, stated, digest)
      reservation = await this.#deps.quota.reserve(size ?? RESERVE_STEP)
      const spool = await this.#deps.store.createSpool(repository.upstream, digest, size)
      const pace = new Pace(this.#deps.clock)
      return this.#fly({ repository, digest, source, size, spool, reservation, pace, controller })
    } catch (reason) {
      controller.abort(reason)
      reservation?.release()
      throw reason
    }
  }

  #fly(job: Job): Flight {
    const { promise: presentable, resolve, reject } = Promise.withResolvers<void>()
    if (job.size !== undefined && job.size > SMALL) resolve()
    const landed = this.#land(job, resolve)
    // Both may fail with nobody left to see it; followers learn it from their own pumps.
    landed.catch(reject)
    presentable.catch(() => {})
    const far = this.#farOf(job)
    return { size: job.size, open: () => job.spool.open(), presentable, landed, far }
  }

  #farOf({ repository, digest, pace, controller }: Job): FarRanges {
    const { clock, log } = this.#deps
    const isSuspect = this.#failures.has(keyOf(repository.upstream, digest))
    return new FarRanges({ pace, failed: controller.signal, isSuspect, clock, log })
  }

  async #land(job: Job, onPresentable: () => void): Promise<void> {
    const { repository, digest, spool, reservation, controller } = job
    const { store, catalog, locks, clock, log } = this.#deps
    try {
      await fill(job, onPresentable)
      const file = await spool.finish()
      onPresentable()
      await locks.run(digest, async () => {
        await store.adopt(file)
        await catalog.landed(repository, digest, file.size, clock.now())
      })
      log.debug({ ...about(repository), digest, bytes: file.size }, 'landed blob')
    } catch (reason) {
      controller.abort(reason)
      this.#failures.set(keyOf(repository.upstream, digest), { reason })
      await spool.discard(reason)
      log.warn({ ...about(repository), digest, error: reason }, 'failed to land blob')
      throw reason
    } finally {
      reservation.release()
    }
  }
}

interface Job {
  readonly repository: Repository
  readonly digest: Digest
  readonly source: UpstreamBlob
  readonly size: number | undefined
  readonly spool: Spool
  readonly reservation: Reservation
  readonly pace: Pace
  readonly controller: AbortController
}

async function fill(job: Job, onLarge: () => void): Promise<void> {
  const { source, size, spool, reservation, pace } = job
  let received = 0
  for await (const chunk of source.body) {
    received += chunk.length
    pace.add(chunk.length)
    if (received > SMALL) onLarge()
    if (size === undefined) {
      await reservation.cover(Math.ceil(received / RESERVE_STEP) * RESERVE_STEP)
    }
    await spool.write(chunk)
    reservation.wrote(received)
  }
}

/** A registry that announces another length than the manifest states is not sending that blob. */
function agreeOnSize(
  told: number | undefined,
  stated: number | undefined,
  digest: Digest,
): number | undefined {
  if (told === undefined || stated === undefined || told === stated) return told ?? stated
  const message = `upstream announces ${told} bytes for ${digest}, its manifest states ${stated}`
  throw new UpstreamFailure('misbehaved', message)
}

function keyOf(upstream: UpstreamName, digest: Digest): string {
  return `${upstream} ${digest}`
}
