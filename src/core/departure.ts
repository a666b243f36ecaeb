import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import type { DiskHealth } from './disk-health.ts'
import type { FlightEnd, MirrorEvents } from './events.ts'
import { FarRanges } from './far-ranges.ts'
import type { KeyedLock } from './keyed-lock.ts'
import { landFile } from './land-file.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import { openDownload } from './open-download.ts'
import { Pace } from './pace.ts'
import type { BlobStore, Catalog, Clock, OpenBlob, Spool } from './ports.ts'
import { DigestMismatch, NoSpace, NotKept } from './ports.ts'
import type { Quota, Reservation } from './quota.ts'
import { NO_RESERVATION, sparing } from './quota.ts'
import type { RingPool } from './ring-relief.ts'
import { RingRelief } from './ring-relief.ts'
import type { Upstream, UpstreamBlob } from './upstream.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** Bytes reserved at a time for a body whose length upstream does not say. */
const RESERVE_STEP = 64 * 1024 * 1024
/** Bytes: up to here a body is checked before anything is said about it. */
const SMALL = 1024 * 1024

/** One download of one blob, shared by everyone who asks while it runs. */
export interface Flight {
  /** Bytes; `undefined` while upstream has not said. */
  readonly size: number | undefined
  /**
   * Follows the download from any position; its pumps fail if the download fails or the digest is wrong.
   * `undefined` when it has ended and the last follower has left, or when it is past.
   */
  open(): OpenBlob | undefined
  /**
   * Settles when a client may be told that there is such a blob: for a small one once its digest has been
   * checked, so that a wrong one becomes an error status and not a cut connection.
   */
  readonly presentable: Promise<void>
  /** It has settled so; a herd need not wait for that one by one. */
  readonly isPresentable: boolean
  /** Settles when the blob is stored, or the download has failed, or there was no room to store it. */
  readonly landed: Promise<void>
  /** For what is wanted long before the download gets there. */
  readonly far: FarRanges
  /** There is no room to store the blob: it can be followed, and is gone afterwards. */
  readonly isUnkept: boolean
  /** Its first bytes are gone: who comes now needs a flight of his own. */
  readonly isPast: boolean
  /** Somebody has followed it, and nobody does now. */
  readonly isAbandoned: boolean
  /** Bytes so far. */
  readonly received: number
  /** The warming that it was for has no use for it any more: stops it, unless a client wants it. Its spool is kept. */
  abandon(): void
}

export interface FlightDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly quota: Quota
  readonly health: DiskHealth
  readonly rings: RingPool
  readonly locks: KeyedLock<Digest>
  readonly clock: Clock
  readonly log: Log
  readonly events: MirrorEvents
}

/** What a flight is to bring, and from where. */
export interface Journey {
  readonly repository: Repository
  readonly digest: Digest
  /** Bytes, as a manifest states them, if we hold one. */
  readonly stated: number | undefined
  readonly upstream: Upstream
  readonly controller: AbortController
  /** Nobody but a warming waits for it. No longer so when a client joins. */
  readonly isWarm: () => boolean
  /** Aborts when a client joins what was a warming. */
  readonly hurry: AbortSignal
  /** It has failed before, and not long ago. */
  readonly isSuspect: boolean
  /** Called when upstream did not bring the blob. */
  readonly onFailed: (reason: unknown) => void
}

/** Resolves when upstream has answered; `undefined`: it has no such blob. Throws NoSpace if it is warm. */
export async function depart(journey: Journey, deps: FlightDeps): Promise<Flight | undefined> {
  const { repository, digest, stated, upstream, controller, isWarm, hurry } = journey
  const { store, clock } = deps
  const relief = new RingRelief({ ...deps, isWarm, signal: controller.signal })
  const wanted = { repository, digest, stated, upstream, store, relief, hurry }
  const download = await openDownload(wanted, controller.signal)
  if (download === undefined) return undefined
  const { source, left } = download
  let reservation: Reservation | undefined
  try {
    const size = agreeOnSize(source.size, stated, digest)
    relief.size = size
    reservation = await reserve(size ?? RESERVE_STEP, relief, isWarm, deps)
    const spool = left ?? (await store.createSpool(repository.upstream, digest, size, relief))
    const content = { source, size, spool, isResumed: left !== undefined }
    return fly({ ...journey, ...content, relief, reservation, pace: new Pace(clock) }, deps)
  } catch (reason) {
    controller.abort(reason)
    reservation?.release()
    relief.close()
    await left?.keep(reason)
    throw reason
  }
}

interface Job extends Journey {
  readonly source: UpstreamBlob
  readonly size: number | undefined
  readonly spool: Spool
  /** The spool began with what an earlier run had left. */
  readonly isResumed: boolean
  readonly relief: RingRelief
  readonly reservation: Reservation
  readonly pace: Pace
}

/** Where there is no room, the download goes on without taking any. */
async function reserve(
  bytes: number,
  relief: RingRelief,
  isWarm: () => boolean,
  { quota, clock }: FlightDeps,
): Promise<Reservation> {
  try {
    return await quota.reserve(bytes, sparing(isWarm, clock))
  } catch (reason) {
    if (!(reason instanceof NoSpace)) throw reason
    relief.goOnInMemory(reason)
    return NO_RESERVATION
  }
}

function fly(job: Job, deps: FlightDeps): Flight {
  const { spool, size, relief, pace, isSuspect, isWarm, controller } = job
  const { promise: presentable, resolve, reject } = Promise.withResolvers<void>()
  let isPresentable = false
  const present = () => {
    isPresentable = true
    resolve()
  }
  if (size !== undefined && size > SMALL) present()
  const landed = land(job, deps, present)
  // Both may fail with nobody left to see it; followers learn it from their own pumps.
  landed.catch(reject)
  presentable.catch(() => {})
  const far = new FarRanges({ ...deps, pace, failed: controller.signal, isSuspect })
  return {
    size,
    open: () => spool.open(),
    presentable,
    get isPresentable() {
      return isPresentable
    },
    landed,
    far,
    get isUnkept() {
      // What an earlier run left is in a file, and the rest goes to memory.
      return spool.isUnkept || relief.ring !== undefined
    },
    get isPast() {
      return spool.isPast
    },
    get isAbandoned() {
      return spool.followers === 0
    },
    get received() {
      return spool.length
    },
    abandon() {
      if (!isWarm()) return
      controller.abort(new UpstreamFailure('busy', 'stopped by whoever it was for'))
    },
  }
}

async function land(job: Job, deps: FlightDeps, onPresentable: () => void): Promise<void> {
  const { repository, digest, spool, relief, reservation } = job
  const { log, events, health } = deps
  try {
    await fill(job, onPresentable)
    const file = await spool.finish()
    onPresentable()
    await landFile(repository, file, deps)
    health.took()
    log.debug({ ...about(repository), digest, bytes: file.size }, 'landed blob')
    events.flightEnded(repository.upstream, 'landed')
  } catch (reason) {
    // Its bytes are right: who follows has them all, or will.
    if (reason instanceof NotKept) onPresentable()
    await fail(job, deps, reason)
    throw reason
  } finally {
    reservation.release()
    relief.close()
  }
}

async function fail(job: Job, deps: FlightDeps, reason: unknown): Promise<void> {
  const { repository, digest, spool, controller, isResumed, onFailed } = job
  const { log, events, health } = deps
  events.flightEnded(repository.upstream, endOf(reason, controller.signal))
  const isStopped = controller.signal.aborted
  controller.abort(reason)
  await (isStopped ? spool.keep(reason) : spool.discard(reason))
  const fields = { ...about(repository), digest, error: reason }
  if (reason instanceof NoSpace) {
    // What is not kept was refused when it went to memory, and its reason is told already.
    if (!(reason instanceof NotKept)) health.refused(reason)
    log.debug(fields, 'passed blob on without storing it')
    return
  }
  // Wrong bytes that an earlier run left say nothing about upstream: the next download begins anew.
  if (!isResumed || !(reason instanceof DigestMismatch)) onFailed(reason)
  log.warn(fields, 'failed to land blob')
}

async function fill(job: Job, onLarge: () => void): Promise<void> {
  const { source, size, spool, relief, reservation, pace } = job
  let covered = RESERVE_STEP
  await source.body.pump((bytes) => {
    pace.add(bytes.length)
    const ready = spool.write(bytes)
    const received = spool.length
    if (received > SMALL) onLarge()
    reservation.wrote(received)
    if (size !== undefined || received <= covered) return ready
    covered = Math.ceil(received / RESERVE_STEP) * RESERVE_STEP
    return bothOf(ready, cover(covered, relief, reservation))
  })
}

async function bothOf(one: Promise<void> | undefined, other: Promise<void>): Promise<void> {
  await Promise.all([one, other])
}

/** Where there is no room for more, the download goes on without taking any. */
async function cover(bytes: number, relief: RingRelief, reservation: Reservation): Promise<void> {
  if (relief.ring !== undefined) return
  try {
    await reservation.cover(bytes)
  } catch (reason) {
    if (!(reason instanceof NoSpace)) throw reason
    relief.goOnInMemory(reason)
  }
}

/** To be asked before the flight's own signal is used for telling that it has failed. */
function endOf(reason: unknown, stopped: AbortSignal): FlightEnd {
  if (reason instanceof DigestMismatch) return 'wrong'
  if (reason instanceof NotKept) return 'unkept'
  return stopped.aborted ? 'stopped' : 'failed'
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
