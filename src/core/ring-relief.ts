import type { DiskHealth } from './disk-health.ts'
import type { Clock, Relief } from './ports.ts'
import { NoSpace } from './ports.ts'
import type { Quota } from './quota.ts'
import { sparing } from './quota.ts'
import { Ring, RING_BYTES } from './ring.ts'

/** Downloads that may run in memory at the same time: 128 MiB in all. */
const MAX_RINGS = 16
/** Bytes to make room for when nobody knows how much is still to come. */
const USUAL_BYTES = 64 * 1024 * 1024

/** Memory for downloads that the disk does not take: for so many at a time. */
export class RingPool {
  readonly #clock: Clock
  #taken = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get taken(): number {
    return this.#taken
  }

  /** Throws `reason` again, with what it has led to, when all memory is in use. */
  take(reason: NoSpace, signal: AbortSignal): Ring {
    if (this.#taken === MAX_RINGS) {
      const load = `${MAX_RINGS} downloads run in memory already (${RING_BYTES} bytes each)`
      throw new NoSpace(`${reason.message}; ${load}`, reason.kind, { cause: reason })
    }
    this.#taken += 1
    const ring = new Ring(this.#clock, () => (this.#taken -= 1))
    signal.addEventListener('abort', () => ring.stop(signal.reason), { once: true })
    return ring
  }
}

interface ReliefDeps {
  readonly rings: RingPool
  readonly quota: Quota
  readonly health: DiskHealth
  readonly clock: Clock
  /** Nobody but a warming waits for it: what cannot be kept is of no use to anyone. */
  readonly isWarm: () => boolean
  /** The download's: when it stops, nobody waits for room. */
  readonly signal: AbortSignal
}

/** What one download does about a disk that refuses: makes room and tries again, once, then uses memory. */
export class RingRelief implements Relief {
  readonly #deps: ReliefDeps
  /** Bytes of the blob, once known. */
  size: number | undefined
  #ring: Ring | undefined
  #hasRetried = false

  constructor(deps: ReliefDeps) {
    this.#deps = deps
  }

  get ring(): Ring | undefined {
    return this.#ring
  }

  /** Nothing more of it gets to the disk. Throws NoSpace if there is no memory for it either. */
  goOnInMemory(reason: NoSpace): Ring {
    const { rings, health, isWarm, signal } = this.#deps
    health.refused(reason)
    if (isWarm()) throw reason
    this.#ring ??= rings.take(reason, signal)
    return this.#ring
  }

  /** The download has ended: gives back memory that it has taken and never used. */
  close(): void {
    // What holds bytes stays until its last reader has left.
    if (this.#ring?.hasBegun === false) this.#ring.close()
  }

  async refused(reason: NoSpace): Promise<Ring | undefined> {
    const bytes = Math.min(this.size ?? USUAL_BYTES, USUAL_BYTES)
    const isWorthRetrying = reason.kind === 'full' && !this.#hasRetried
    this.#hasRetried = true
    const { quota, isWarm, clock } = this.#deps
    if (isWorthRetrying && (await quota.evict(bytes, sparing(isWarm, clock)))) return undefined
    return this.goOnInMemory(reason)
  }
}
