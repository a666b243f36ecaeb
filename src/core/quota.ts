import type { Digest } from '../oci/digest.ts'
import type { MirrorEvents } from './events.ts'
import type { InUse } from './in-use.ts'
import { KeyedLock } from './keyed-lock.ts'
import type { Log } from './log.ts'
import type { BlobStore, Catalog, Clock } from './ports.ts'
import { NoSpace } from './ports.ts'
import type { Lack, QuotaLimits, Space } from './room.ts'
import { bytesToKeepFree, lackOf } from './room.ts'

/** Space promised to one download until it has landed or failed. */
export interface Reservation {
  /** Makes the reservation at least this large; for bodies whose size upstream does not say. Throws NoSpace. */
  cover(bytes: number): Promise<void>
  /** So many of its bytes are on disk by now, where the volume's free space shows them already. */
  wrote(bytes: number): void
  release(): void
}

/** For a download that keeps nothing on the disk. */
export const NO_RESERVATION: Reservation = {
  cover: async () => {},
  wrote: () => {},
  release: () => {},
}

/**
 * What was used since then (ms since the epoch) is not evicted; `undefined`: everything may be. Asked each
 * time, because a client may come to wait for what was begun without one.
 */
export type Restraint = () => number | undefined

const NO_RESTRAINT: Restraint = () => undefined
/** What nobody has asked for yet makes no room at the cost of what was asked for within a day. */
const SPARED_MS = 24 * 60 * 60_000

/** For what is fetched before anybody asks for it, as long as `isWarm` says that nobody does. */
export function sparing(isWarm: () => boolean, clock: Clock): Restraint {
  return () => (isWarm() ? clock.now() - SPARED_MS : undefined)
}

/** Evicted beyond what is needed, so that not every pull has to: a part of the limit, and bytes at most. */
const SLACK = { part: 0.01, atMost: 1024 ** 3 } as const

interface QuotaDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly limits: QuotaLimits
  /** Shared with landing: a digest is never evicted while it lands. */
  readonly locks: KeyedLock<Digest>
  readonly inUse: InUse
  readonly log: Log
  readonly events: MirrorEvents
}

/**
 * Keeps the store within its limits: space is reserved before the first byte arrives, and the least
 * recently used blobs make room for it. A reservation that cannot succeed evicts nothing.
 */
export class Quota {
  readonly #deps: QuotaDeps
  readonly #turn = new KeyedLock<'reserve'>()
  #reserved = 0
  #downloads = 0
  /** Bytes of reservations that have been written already. */
  #written = 0

  constructor(deps: QuotaDeps) {
    this.#deps = deps
  }

  /** Throws NoSpace. */
  async reserve(bytes: number, restraint = NO_RESTRAINT): Promise<Reservation> {
    let held = 0
    let written = 0
    const cover = async (total: number) => {
      if (total <= held) return
      await this.#take(total, total - held, restraint)
      held = total
    }
    await cover(bytes)
    this.#downloads += 1
    let isHeld = true
    return {
      cover,
      wrote: (total) => {
        const more = Math.min(total, held) - written
        written += more
        this.#written += more
      },
      release: () => {
        if (!isHeld) return
        isHeld = false
        this.#downloads -= 1
        this.#reserved -= held
        this.#written -= written
      },
    }
  }

  /** Makes so many bytes of room on a disk that has none, whatever the limits. False if nothing could go. */
  evict(bytes: number, restraint = NO_RESTRAINT): Promise<boolean> {
    return this.#turn.run('reserve', async () => {
      const lack: Lack = { bytes, blobs: 1, kind: 'full' }
      if ((await this.#deps.store.dropLeft(bytes)) > 0) return true
      const plan = await this.#plan(lack, 0, restraint())
      return (await this.#carryOut(plan)) > 0
    })
  }

  /** Tells the operator, once, that there is less room than he wants to be left. */
  async warnIfShort(): Promise<void> {
    const space = await this.#space()
    const keepFree = bytesToKeepFree(this.#deps.limits, space)
    if (space.free >= keepFree) return
    const fields = { free: space.free, minFree: keepFree, total: space.total }
    this.#deps.log.warn(
      fields,
      'found less free disk space than storage.minFree: evicts before it stores',
    )
  }

  /** One at a time, so that two reservations never count the same free bytes or evict for each other. */
  #take(total: number, bytes: number, restraint: Restraint): Promise<void> {
    return this.#turn.run('reserve', async () => {
      const space = await this.#space()
      this.#refuseHopeless(total, space)
      const lack = await this.#lack(bytes, space)
      if (lack.bytes > 0 || lack.blobs > 0) await this.#makeRoom(lack, bytes, space, restraint())
      this.#reserved += bytes
    })
  }

  /** What could not be stored if there were nothing else says nothing about the state of the disk. */
  #refuseHopeless(bytes: number, { total }: Space): void {
    const { maxSize = total } = this.#deps.limits
    if (bytes > Math.min(maxSize, total)) throw new NoSpace(this.#explain(bytes), 'limit')
  }

  async #lack(bytes: number, space: Space): Promise<Lack> {
    const { store, catalog, limits } = this.#deps
    const stored = (await catalog.totals()).bytes + (await store.leftBytes())
    const promised = this.#reserved + bytes
    const files = this.#downloads + 1
    return lackOf({ stored, promised, written: this.#written, files }, limits, space)
  }

  async #makeRoom(
    lack: Lack,
    wanted: number,
    space: Space,
    spared: number | undefined,
  ): Promise<void> {
    const slack = (this.#deps.limits.maxSize ?? space.total) * SLACK.part
    const { store, catalog } = this.#deps
    // What earlier downloads left is of use only if somebody asks again: it goes first.
    const left = Math.min(lack.bytes, await store.leftBytes())
    const rest = { ...lack, bytes: lack.bytes - left }
    const { bytes: stored } = await catalog.totals()
    if (stored < rest.bytes) throw new NoSpace(this.#explain(wanted), lack.kind)
    const plan = await this.#plan(rest, Math.min(slack, SLACK.atMost), spared)
    if (!plan.isEnough && spared !== undefined) {
      // The disk has not refused anything: this is all that it was asked for.
      const restraint = `${this.#explain(wanted)}; what was used within a day does not make room for it`
      throw new NoSpace(restraint, 'limit')
    }
    if (!plan.isEnough) throw new NoSpace(this.#explain(wanted), lack.kind)
    const freed = (await store.dropLeft(left)) + (await this.#carryOut(plan))
    if (freed < lack.bytes) throw new NoSpace(this.#explain(wanted), lack.kind)
  }

  /**
   * What may go, least recently used first, until it is enough and as long as it still fits the slack; nothing
   * that was used since `spared`.
   */
  async #plan(lack: Lack, slack: number, spared: number | undefined): Promise<Plan> {
    const { catalog, inUse } = this.#deps
    const blobs = new Map<Digest, number>()
    let bytes = 0
    const isEnough = () => bytes >= lack.bytes && blobs.size >= lack.blobs
    if (isEnough()) return { blobs, isEnough: true }
    for await (const { digest, size, usedAt } of catalog.evictionOrder()) {
      if (spared !== undefined && usedAt >= spared) break
      if (isEnough() && bytes + size > lack.bytes + slack) break
      if (inUse.has(digest) || blobs.has(digest)) continue
      blobs.set(digest, size)
      bytes += size
    }
    return { blobs, isEnough: isEnough() }
  }

  /** Returns how many bytes have gone. */
  async #carryOut({ blobs }: Plan): Promise<number> {
    const { store, catalog, locks, inUse, log, events } = this.#deps
    let freed = 0
    for (const [digest, size] of blobs) {
      // It may have been opened since it was planned.
      if (inUse.has(digest)) continue
      try {
        if (!(await evictBlob(digest, store, catalog, locks, 'pinned'))) continue
        freed += size
        log.debug({ digest, bytes: size }, 'evicted blob')
        events.evicted(size)
      } catch (reason) {
        // Where no tombstone can be written, none of the others can be either.
        if (reason instanceof NoSpace) {
          log.debug({ digest, error: reason }, 'found no room to evict blob')
          break
        }
        // A broken disk may not let go of a file either; the others are worth trying.
        log.warn({ digest, error: reason }, 'failed to evict blob')
      }
    }
    return freed
  }

  async #space(): Promise<Space> {
    try {
      return await this.#deps.store.space()
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause)
      throw new NoSpace(`the disk does not tell how much room it has: ${said}`, 'broken', { cause })
    }
  }

  #explain(wanted: number): string {
    const { maxSize, minFree } = this.#deps.limits
    const max = maxSize === undefined ? '' : `storage.maxSize (${maxSize} bytes) or `
    const free = 'bytes' in minFree ? `${minFree.bytes} bytes` : `${minFree.ratio * 100} %`
    return `no room for ${wanted} bytes within ${max}storage.minFree (${free}): free some disk space or change the limit`
  }
}

interface Plan {
  readonly blobs: ReadonlyMap<Digest, number>
  readonly isEnough: boolean
}

/**
 * Tombstone, file, row: after a crash at any point, a start finds the tombstone and finishes. Where no
 * tombstone can be written, the file stays, so that no row is ever without one; where the file stays, so does
 * the blob. `false`: it stays because of what `unless` says. Throws NoSpace.
 */
export function evictBlob(
  digest: Digest,
  store: BlobStore,
  catalog: Catalog,
  locks: KeyedLock<Digest>,
  unless?: 'pinned' | 'named',
): Promise<boolean> {
  return locks.run(digest, async () => {
    if (!(await catalog.entomb(digest, unless))) return false
    try {
      await store.delete(digest)
    } catch (reason) {
      // Where not even this can be written, the next start finishes what the tombstone says.
      await catalog.revive(digest).catch(() => {})
      throw reason
    }
    await catalog.forget(digest)
    return true
  })
}
