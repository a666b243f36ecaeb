import { fittingSize } from './fitting-size.ts'

/** Bytes. Large ones make few writes, and small ones leave room for many downloads. */
const SIZES = [256 * 1024, 64 * 1024, 16 * 1024] as const
const DEFAULT_BUDGET = 48 * 1024 * 1024
/** Bytes that are kept for the next download while nobody uses them: of the largest, and of each other size. */
const MAX_KEPT = 8 * 1024 * 1024
const MAX_KEPT_SMALL = 1024 * 1024

/** Memory that goes back to its pool when the last one who holds it lets go. */
export class Block {
  readonly bytes: Uint8Array
  readonly #onFree: (block: Block) => void
  #holders = 0

  constructor(size: number, onFree: (block: Block) => void) {
    this.bytes = Buffer.allocUnsafeSlow(size)
    this.#onFree = onFree
  }

  hold(): void {
    this.#holders += 1
  }

  release(): void {
    this.#holders -= 1
    if (this.#holders === 0) this.#onFree(this)
  }
}

/**
 * Memory for what downloads bring, used again and again. The more of it is lent, the smaller are the blocks.
 * It never refuses: a download keeps within the budget (48 MiB unless told) by holding back when it is tight,
 * and by holding nothing that it has written, or could have, when it is full.
 */
export class BlockPool {
  readonly #budget: number
  readonly #free = new Map<number, Block[]>()
  #lent = 0

  constructor(budget = DEFAULT_BUDGET) {
    this.#budget = budget
  }

  /** Bytes that somebody holds. */
  get lent(): number {
    return this.#lent
  }

  /** Half is lent: nobody should hold more than he has to. */
  get isTight(): boolean {
    return this.#lent > this.#budget / 2
  }

  get isFull(): boolean {
    return this.#lent >= this.#budget
  }

  /** A block that is held once. `useful`: more bytes than this would stay unused. */
  take(useful: number): Block {
    const size = fittingSize(SIZES, { free: this.#budget - this.#lent, useful })
    const block = this.#free.get(size)?.pop() ?? new Block(size, (freed) => this.#give(freed))
    this.#lent += size
    block.hold()
    return block
  }

  /** What is kept in one size takes no room from another: a rush leaves many small ones behind. */
  #give(block: Block): void {
    const size = block.bytes.length
    this.#lent -= size
    const most = size === SIZES[0] ? MAX_KEPT : MAX_KEPT_SMALL
    const free = this.#free.get(size)
    if (free === undefined) this.#free.set(size, [block])
    else if ((free.length + 1) * size <= most) free.push(block)
  }
}
