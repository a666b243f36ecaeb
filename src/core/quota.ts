import type { Digest } from '../oci/digest.ts'
import { KeyedLock } from './keyed-lock.ts'
import type { Log } from './log.ts'
import type { BlobStore, Catalog } from './ports.ts'
import { NoSpace } from './ports.ts'

/** What the operator allows. Bytes; `minFree` also as a part (0–1) of the volume. */
export interface QuotaLimits {
  readonly maxSize: number | undefined
  readonly minFree: { readonly bytes: number } | { readonly ratio: number }
}

/** Space promised to one download until it has landed or failed. */
export interface Reservation {
  /** Makes the reservation at least this large; for bodies whose size upstream does not say. */
  cover(bytes: number): Promise<void>
  /** So many of its bytes are on disk by now, where the volume's free space shows them already. */
  wrote(bytes: number): void
  release(): void
}

/**
 * Keeps the store within its limits: space is reserved before the first byte arrives, and the least
 * recently used blobs make room for it. A reservation that cannot succeed evicts nothing.
 */
export class Quota {
  readonly #store: BlobStore
  readonly #catalog: Catalog
  readonly #limits: QuotaLimits
  readonly #log: Log
  /** Shared with landing: a digest is never evicted while it lands. */
  readonly #locks: KeyedLock<Digest>
  readonly #turn = new KeyedLock<'reserve'>()
  #reserved = 0
  /** Bytes of reservations that have been written already. */
  #written = 0

  constructor(deps: {
    readonly store: BlobStore
    readonly catalog: Catalog
    readonly limits: QuotaLimits
    readonly locks: KeyedLock<Digest>
    readonly log: Log
  }) {
    this.#store = deps.store
    this.#catalog = deps.catalog
    this.#limits = deps.limits
    this.#locks = deps.locks
    this.#log = deps.log
  }

  /** Throws NoSpace. */
  async reserve(bytes: number): Promise<Reservation> {
    let held = 0
    let written = 0
    const cover = async (total: number) => {
      if (total <= held) return
      await this.#take(total - held)
      held = total
    }
    await cover(bytes)
    return {
      cover,
      wrote: (total) => {
        const more = Math.min(total, held) - written
        written += more
        this.#written += more
      },
      release: () => {
        this.#reserved -= held
        this.#written -= written
        held = 0
        written = 0
      },
    }
  }

  /** One at a time, so that two reservations never count the same free bytes or evict for each other. */
  #take(bytes: number): Promise<void> {
    return this.#turn.run('reserve', async () => {
      const excess = await this.#excess(bytes)
      if (excess > 0) await this.#evict(excess, bytes)
      this.#reserved += bytes
    })
  }

  /** How many bytes would have to go before `bytes` more may come. */
  async #excess(bytes: number): Promise<number> {
    const { total, free } = await this.#store.space()
    const { minFree, maxSize } = this.#limits
    const keepFree = 'bytes' in minFree ? minFree.bytes : minFree.ratio * total
    const toCome = this.#reserved - this.#written + bytes
    const overVolume = keepFree + toCome - free
    if (maxSize === undefined) return overVolume
    const stored = (await this.#catalog.totals()).bytes
    return Math.max(overVolume, stored + this.#reserved + bytes - maxSize)
  }

  async #evict(excess: number, wanted: number): Promise<void> {
    const { bytes: evictable } = await this.#catalog.totals()
    if (evictable < excess) throw new NoSpace(this.#explain(wanted))
    let freed = 0
    for await (const { digest, size } of this.#catalog.evictionOrder()) {
      if (freed >= excess) return
      await evictBlob(digest, this.#store, this.#catalog, this.#locks)
      freed += size
      this.#log.debug({ digest, bytes: size }, 'evicted blob')
    }
    if (freed < excess) throw new NoSpace(this.#explain(wanted))
  }

  #explain(wanted: number): string {
    const { maxSize, minFree } = this.#limits
    const max = maxSize === undefined ? '' : `storage.maxSize (${maxSize} bytes) or `
    const free = 'bytes' in minFree ? `${minFree.bytes} bytes` : `${minFree.ratio * 100} %`
    return `no room for ${wanted} bytes within ${max}storage.minFree (${free}): free some disk space or change the limit`
  }
}

/** Tombstone, file, row: after a crash at any point, a start finds the tombstone and finishes. */
export function evictBlob(
  digest: Digest,
  store: BlobStore,
  catalog: Catalog,
  locks: KeyedLock<Digest>,
): Promise<void> {
  return locks.run(digest, async () => {
    await catalog.entomb(digest)
    await store.delete(digest)
    await catalog.forget(digest)
  })
}
