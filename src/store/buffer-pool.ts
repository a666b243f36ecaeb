import { fittingSize } from './fitting-size.ts'

/** Two buffers of one size: one is filled from disk while the other is on its way to the client. */
export interface BufferPair {
  readonly first: Uint8Array
  readonly second: Uint8Array
}

/** Bytes. Larger reads cost less CPU per byte, and more memory per client. */
const SIZES = [256 * 1024, 128 * 1024, 64 * 1024, 32 * 1024, 16 * 1024] as const
/** For who is alone. Several with so much each throw one another's bytes out of the processor's cache. */
const SIZES_ALONE = [2 * 1024 * 1024, 1024 * 1024, 512 * 1024, ...SIZES] as const
const DEFAULT_BUDGET = 64 * 1024 * 1024

/**
 * Buffers for sending bodies, reused from one response to the next. The more responses are under way,
 * the smaller their buffers: all together stay within the budget (64 MiB unless told), except that
 * nobody gets less than 16 KiB.
 */
export class BufferPool {
  readonly #budget: number
  readonly #free = new Map<number, BufferPair[]>()
  /** Bytes lent, and bytes kept for reuse. */
  #lent = 0
  #kept = 0

  constructor(budget = DEFAULT_BUDGET) {
    this.#budget = budget
  }

  /** `useful`: more bytes than this per buffer would stay unused. */
  take(useful: number): BufferPair {
    const free = (this.#budget - this.#lent) / 2
    const size = fittingSize(this.#lent === 0 ? SIZES_ALONE : SIZES, { free, useful })
    this.#lent += 2 * size
    const kept = this.#free.get(size)?.pop()
    if (kept !== undefined) {
      this.#kept -= 2 * size
      return kept
    }
    if (this.#lent + this.#kept > this.#budget) this.#drop()
    return { first: Buffer.allocUnsafeSlow(size), second: Buffer.allocUnsafeSlow(size) }
  }

  /** How much of each buffer should be used now, in bytes: less than all of a large one when others have come. */
  share({ first }: BufferPair): number {
    const size = first.length
    return this.#lent > 2 * size ? Math.min(size, SIZES[0]) : size
  }

  give(pair: BufferPair): void {
    const size = pair.first.length
    this.#lent -= 2 * size
    if (this.#lent + this.#kept + 2 * size > this.#budget) return
    const kept = this.#free.get(size)
    if (kept === undefined) this.#free.set(size, [pair])
    else kept.push(pair)
    this.#kept += 2 * size
  }

  /** What is kept in one size is of no use to another. */
  #drop(): void {
    this.#free.clear()
    this.#kept = 0
  }
}
