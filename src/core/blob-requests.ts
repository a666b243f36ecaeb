import { LRUCache } from 'lru-cache'
import type { RangeSpec } from '../oci/byte-range.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import { formatContent } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { Coalescer } from './coalescer.ts'
import type { Wait } from './deadline.ts'
import { LATE, limitTime, waitFor, waitUntil } from './deadline.ts'
import type { Flight } from './departure.ts'
import type { DiskHealth } from './disk-health.ts'
import { soleClosedRange } from './far-ranges.ts'
import type { Flights } from './flights.ts'
import type { InUse } from './in-use.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import { mayServe } from './may-serve.ts'
import { missingBlob } from './offline-misses.ts'
import type { BlobAnswer, BlobFacts } from './outcome.ts'
import type { BlobStore, Catalog, Clock, Holding, OpenBlob } from './ports.ts'
import type { Prefetch } from './prefetch.ts'
import { refuseToGoBack } from './ring-order.ts'
import { steady } from './steady-clock.ts'
import type { BlobProof } from './upstream.ts'
import type { UpstreamEntry } from './upstream-entry.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** How long "no such blob" is believed. */
const ABSENT_FOR_MS = 10_000
/** How long a HEAD is answered from what another one has just asked. Permission, once proved, is kept for good. */
const KNOWN_FOR_MS = 10_000
const PROOF_TIMEOUT_MS = 60_000
const NOTHING_STATED = { statedSize: undefined }

export interface BlobRequest {
  readonly repository: Repository
  readonly digest: Digest
  /**
   * The parts that are wanted, at least one; `undefined` for all of it. A part can be described only if the
   * size of the whole is known, so an answer to a request for parts always says it.
   */
  readonly ranges: readonly RangeSpec[] | undefined
}

interface Deps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly flights: Flights
  readonly inUse: InUse
  readonly prefetch: Pick<Prefetch, 'asked'>
  readonly health: DiskHealth
  readonly clock: Clock
  readonly log: Log
}

/**
 * Answers blob requests. Bytes are shared between repositories, permission is not: a repository gets a
 * stored blob only if it is entitled to it, or if upstream proves now that it has it (CVE-2024-39897 is
 * what happens otherwise).
 */
export class BlobRequests {
  readonly #deps: Deps
  readonly #proofs = new Coalescer<BlobProof | undefined>()
  readonly #absent: LRUCache<string, true>
  /** Sizes in bytes of blobs that upstream has just been asked for. */
  readonly #known: LRUCache<string, number>

  constructor(deps: Deps) {
    this.#deps = deps
    const perf = steady(deps.clock)
    const bounds = { max: 10_000, ttlResolution: 0, perf }
    this.#absent = new LRUCache({ ...bounds, ttl: ABSENT_FOR_MS })
    this.#known = new LRUCache({ ...bounds, ttl: KNOWN_FOR_MS })
  }

  open(request: BlobRequest, entry: UpstreamEntry, wait: Wait): Promise<BlobAnswer> {
    const { repository, digest } = request
    // A herd comes for what is under way, and needs no query each.
    const isFollowed = this.#deps.flights.find(repository, digest) === 'proved'
    return isFollowed
      ? this.#fly(request, NOTHING_STATED, entry, wait)
      : this.#look(request, entry, wait)
  }

  async #look(request: BlobRequest, entry: UpstreamEntry, wait: Wait): Promise<BlobAnswer> {
    const { catalog, flights } = this.#deps
    const { repository, digest } = request
    let holding = await catalog.holding(repository, digest)
    const isEntitled = mayServe(holding, entry)
    const stored = isEntitled ? await this.#stored(digest, holding, wait) : undefined
    if (stored !== undefined) {
      this.#goAhead(request, entry, undefined)
      return { outcome: 'hit', ...stored }
    }
    if (entry.mode === 'offline') throw missingBlob(repository, digest, holding)
    this.#checkAbsent(repository, digest)

    const running = flights.find(repository, digest)
    const needsProof = !isEntitled && (running === 'unproved' || holding.storedSize !== undefined)
    if (needsProof) {
      await this.#prove(repository, digest, entry, wait)
      // Asking took its time: the flight that was aloft may have landed.
      holding = await catalog.holding(repository, digest)
      const shared = await this.#stored(digest, holding, wait)
      if (shared !== undefined) {
        this.#goAhead(request, entry, undefined)
        return { outcome: 'hit', detail: 'proved', ...shared }
      }
    }
    return this.#fly(request, holding, entry, wait)
  }

  /** For HEAD: at most one byte is asked of upstream, and nothing is downloaded. */
  async facts(
    { repository, digest }: BlobRequest,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<BlobFacts> {
    const holding = await this.#deps.catalog.holding(repository, digest)
    if (mayServe(holding, entry) && holding.storedSize !== undefined) {
      return { outcome: 'hit', size: holding.storedSize }
    }
    // Before the size that a manifest states, which only says what could be had from upstream.
    if (entry.mode === 'offline') throw missingBlob(repository, digest, holding)
    if (holding.statedSize !== undefined) {
      return { outcome: 'hit', detail: 'named', size: holding.statedSize }
    }
    this.#checkAbsent(repository, digest)
    const known = this.#known.get(formatContent(repository, digest))
    if (known !== undefined) return { outcome: 'hit', detail: 'proved', size: known }
    const { flights } = this.#deps
    if (flights.find(repository, digest) === 'proved') {
      const departure = flights.join(repository, digest, holding.statedSize, entry.client)
      const flight = await this.#await(departure, repository, digest, wait)
      if (flight.size !== undefined) return { outcome: 'joined', size: flight.size }
    }
    const { proof, first } = await this.#prove(repository, digest, entry, wait)
    return { outcome: first ? 'miss' : 'joined', size: proof.size }
  }

  async #fly(
    request: BlobRequest,
    { statedSize }: Pick<Holding, 'statedSize'>,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<BlobAnswer> {
    const { flights, clock } = this.#deps
    const { repository, digest, ranges } = request
    const isFirst = flights.find(repository, digest) === 'none'
    const departure = flights.join(repository, digest, statedSize, entry.client)
    this.#goAhead(request, entry, departure)
    const flight = await this.#await(departure, repository, digest, wait)
    const name = formatContent(repository, digest)
    if (flight.size === undefined && ranges !== undefined) {
      // Only the end of the download tells how long the blob is, and so what a range of it means.
      await waitFor(flight.landed, wait, clock, name)
      return this.#look(request, entry, wait)
    }
    const blob = flight.open()
    if (blob === undefined) {
      // All of it is here and its file has closed, but it may not be in its place yet.
      if (!flight.isPast) await waitFor(flight.landed, wait, clock, name)
      return this.#look(request, entry, wait)
    }
    try {
      if (flight.isUnkept) refuseToGoBack(ranges, flight.size, name)
      if (!flight.isPresentable) await waitFor(flight.presentable, wait, clock, name)
      const far = await this.#reach(request, flight, blob, entry, wait)
      if (far !== undefined) return far
      const answer = { outcome: isFirst ? 'miss' : 'joined', size: flight.size, blob } as const
      return flight.isUnkept ? { ...answer, isStored: false, detail: 'no-room' } : answer
    } catch (reason) {
      await blob.close()
      throw reason
    }
  }

  /** Who asks for parts reads lazily, and wants no more layers. */
  #goAhead(
    { repository, digest, ranges }: BlobRequest,
    entry: UpstreamEntry,
    answered: Promise<unknown> | undefined,
  ): void {
    if (ranges === undefined) this.#deps.prefetch.asked(repository, digest, entry, answered)
  }

  /** The answer from upstream itself, if what is wanted is far ahead of the flight. */
  async #reach(
    { repository, digest, ranges }: BlobRequest,
    { size, far }: Flight,
    followed: OpenBlob,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<BlobAnswer | undefined> {
    const range = size === undefined ? undefined : soleClosedRange(ranges, size)
    if (size === undefined || range === undefined) return undefined
    const request = { repository, digest, range, size }
    const blob = await far.open(request, followed, entry.client, wait)
    if (blob === undefined) return undefined
    return { outcome: 'miss', isStored: false, detail: 'unverified', size, blob }
  }

  async #await(
    departure: Promise<Flight | undefined>,
    repository: Repository,
    digest: Digest,
    wait: Wait,
  ): Promise<Flight> {
    const flight = await waitFor(
      departure,
      wait,
      this.#deps.clock,
      formatContent(repository, digest),
    )
    if (flight === undefined) throw this.#absence(repository, digest)
    return flight
  }

  async #stored(
    digest: Digest,
    { storedSize }: Holding,
    wait: Wait,
  ): Promise<{ readonly size: number; readonly blob: OpenBlob } | undefined> {
    if (storedSize === undefined) return undefined
    const { store, catalog, inUse, clock } = this.#deps
    const blob = await this.#awaitOpen(store.open(digest, storedSize), digest, wait)
    if (blob === undefined) return undefined
    catalog.touch(digest, clock.now())
    return { size: storedSize, blob: inUse.watch(digest, blob) }
  }

  /** A store may have to read a blob before it gives it out, and disks may take their time. */
  async #awaitOpen(
    opening: Promise<OpenBlob | undefined>,
    digest: Digest,
    { until, signal }: Wait,
  ): Promise<OpenBlob | undefined> {
    let result: OpenBlob | undefined | typeof LATE = LATE
    try {
      result = await waitUntil(opening, until, this.#deps.clock, signal)
    } finally {
      // Nobody waits for it any more. A failure has nobody to see it either.
      if (result === LATE) opening.then((blob) => blob?.close()).catch(() => {})
    }
    if (result !== LATE) return result
    throw new UpstreamFailure('timeout', `${digest}: the disk has not given it out yet: ask again`)
  }

  /** Asks upstream whether this very repository has the digest, and remembers a yes for good. */
  async #prove(
    repository: Repository,
    digest: Digest,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<{ readonly proof: BlobProof; readonly first: boolean }> {
    const { clock } = this.#deps
    const name = formatContent(repository, digest)
    const { result, first } = this.#proofs.run(name, async () => {
      const proof = await limitTime(PROOF_TIMEOUT_MS, clock, name, (signal) =>
        entry.client.probeBlob(repository.name, digest, signal),
      )
      if (proof === undefined) return undefined
      await this.#remember(repository, digest)
      if (proof.size !== undefined) this.#known.set(name, proof.size)
      return proof
    })
    const proof = await waitFor(result, wait, clock, name)
    if (proof === undefined) throw this.#absence(repository, digest)
    return { proof, first }
  }

  async #remember(repository: Repository, digest: Digest): Promise<void> {
    const { catalog, health, log } = this.#deps
    try {
      await catalog.link(repository, digest)
    } catch (reason) {
      // A full disk takes no row: the proof counts all the same, and is asked for again next time.
      const level = health.isToBlame(reason) ? 'debug' : 'warn'
      log[level]({ ...about(repository), digest, error: reason }, 'failed to record proof')
    }
  }

  #checkAbsent(repository: Repository, digest: Digest): void {
    const name = formatContent(repository, digest)
    if (this.#absent.has(name)) throw unknown(name)
  }

  #absence(repository: Repository, digest: Digest): RegistryError {
    const name = formatContent(repository, digest)
    this.#absent.set(name, true)
    return unknown(name)
  }
}

function unknown(name: string): RegistryError {
  return new RegistryError('BLOB_UNKNOWN', `${name} does not exist: its registry says so`)
}
