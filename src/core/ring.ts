import type { Clock } from './ports.ts'
import { NoSpace } from './ports.ts'

/** Bytes. Memory is taken and given back a block at a time, so that tiny chunks cost no more than their bytes. */
const BLOCK_BYTES = 64 * 1024
/** Bytes that a download without a file keeps for its readers. */
export const RING_BYTES = 8 * 1024 * 1024
const MAX_BLOCKS = RING_BYTES / BLOCK_BYTES
/** Milliseconds for which one reader may hold up the download, and with it all others. */
const PATIENCE_MS = 30_000
/** Bytes: who takes less in all that time is as good as gone, if others wait for him. */
const LEAST_TAKEN = 1024 * 1024

/** One reader's place: what lies before `position` it needs no more. */
export interface Seat {
  position: number
  /** Left behind, because it held up the others. */
  isCut: boolean
  /** How long it has held up the download since it was at `mark`, in milliseconds. */
  heldUp: number
  mark: number
}

export function newSeat(): Seat {
  return { position: 0, isCut: false, heldUp: 0, mark: 0 }
}

/**
 * The newest bytes of a download for which the disk has no room. It grows as fast as its slowest reader
 * takes from it, and a reader that takes nothing for half a minute is left behind: one dead client must
 * not keep a pull from all the others. Bytes that have been handed out are never written over.
 */
export class Ring {
  readonly #clock: Clock
  readonly #release: () => void
  #seats: ReadonlySet<Seat> = new Set()
  readonly #blocks: Uint8Array[] = []
  /** Positions of the first byte that was ever here, that still is, and that is not here yet. */
  #origin = 0
  #start = 0
  #end = 0
  #hadReaders = false
  #hasBegun = false
  #isClosed = false
  #stopped: { readonly reason: unknown } | undefined
  #moved = Promise.withResolvers<void>()

  /** `release` is called once, when the memory is given back. */
  constructor(clock: Clock, release: () => void) {
    this.#clock = clock
    this.#release = release
  }

  /**
   * `origin` is where in the blob the first byte belongs. `seats` are the readers, and stay up to date;
   * `hadReaders`: if there are none, then because they have left.
   */
  begin(origin: number, seats: ReadonlySet<Seat>, hadReaders = false): void {
    this.#hasBegun = true
    this.#hadReaders = hadReaders
    this.#origin = origin
    this.#start = origin
    this.#end = origin
    this.#seats = seats
  }

  /** Whoever began it closes it. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  get origin(): number {
    return this.#origin
  }

  /** Whether all is still here that ever was: then another reader can begin at the beginning. */
  get isWhole(): boolean {
    return this.#start === this.#origin
  }

  /** Waits for room. Throws NoSpace when nobody is left to take anything. */
  async add(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length;) {
      const used = (this.#end - this.#origin) % BLOCK_BYTES
      if (used === 0) {
        await this.#makeRoom()
        this.#blocks.push(new Uint8Array(BLOCK_BYTES))
      }
      const piece = bytes.subarray(taken, taken + BLOCK_BYTES - used)
      this.#blocks.at(-1)?.set(piece, used)
      this.#end += piece.length
      taken += piece.length
    }
  }

  /** Bytes from `position` on, at least one and at most a block. Throws NoSpace if they are not here any more. */
  at(position: number, seat: Seat): Uint8Array {
    const offset = position - this.#origin
    const dropped = Math.floor((this.#start - this.#origin) / BLOCK_BYTES)
    const block = this.#blocks[Math.floor(offset / BLOCK_BYTES) - dropped]
    if (seat.isCut || position < this.#start || block === undefined) {
      const why = `the reader took nothing for ${PATIENCE_MS / 1000} s, and others wait`
      throw new NoSpace(`byte ${position} is not in memory any more: ${why}`, 'limit')
    }
    const from = offset % BLOCK_BYTES
    return block.subarray(from, Math.min(BLOCK_BYTES, from + this.#end - position))
  }

  /** A reader has come, gone on or left. */
  move(): void {
    if (this.#seats.size > 0) this.#hadReaders = true
    const { resolve } = this.#moved
    this.#moved = Promise.withResolvers<void>()
    resolve()
  }

  /** Nothing more can be added; what is here can still be read. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason }
    this.move()
  }

  /** Gives the memory back. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#blocks.length = 0
    this.#start = this.#end
    this.#release()
  }

  async #makeRoom(): Promise<void> {
    const since = this.#clock.now()
    for (;;) {
      if (this.#stopped !== undefined) throw this.#stopped.reason
      if (this.#blocks.length < MAX_BLOCKS) return
      if (this.#isForsaken(since)) throw new NoSpace('nobody takes what cannot be stored', 'limit')
      this.#trim()
      if (this.#blocks.length < MAX_BLOCKS) return
      const holders = this.#holders()
      const left = Math.min(PATIENCE_MS, ...holders.map(({ heldUp }) => PATIENCE_MS - heldUp))
      const waited = await this.#waitForMove(left)
      for (const seat of holders) this.#blame(seat, waited)
    }
  }

  /** Drops what every reader has taken, as far as the room is needed. */
  #trim(): void {
    const positions = [...this.#active()].map(({ position }) => position)
    // Before its first reader comes, a download keeps everything for him.
    if (positions.length === 0) return
    const slowest = Math.min(this.#end, ...positions)
    while (this.#blocks.length >= MAX_BLOCKS && this.#start + BLOCK_BYTES <= slowest) {
      this.#blocks.shift()
      this.#start += BLOCK_BYTES
    }
  }

  /** Those who still need the oldest block. */
  #holders(): readonly Seat[] {
    const needed = this.#start + BLOCK_BYTES
    const holders = [...this.#active()].filter(({ position }) => position < needed)
    for (const seat of holders) if (seat.heldUp === 0) seat.mark = seat.position
    return holders
  }

  *#active(): Iterable<Seat> {
    for (const seat of this.#seats) if (!seat.isCut) yield seat
  }

  /** All readers have left, or none came in time. */
  #isForsaken(since: number): boolean {
    const [someone] = this.#active()
    if (someone !== undefined) this.#hadReaders = true
    if (someone !== undefined) return false
    return this.#hadReaders || this.#clock.now() - since >= PATIENCE_MS
  }

  /** How many milliseconds passed. */
  async #waitForMove(atMost: number): Promise<number> {
    const began = this.#clock.now()
    const timer = new AbortController()
    await Promise.race([this.#moved.promise, this.#clock.sleep(atMost, timer.signal)])
    timer.abort()
    // A clock that was set must not make a reader look slower than he can have been.
    return Math.min(atMost, Math.max(0, this.#clock.now() - began))
  }

  #blame(seat: Seat, waited: number): void {
    seat.heldUp += waited
    if (seat.heldUp < PATIENCE_MS) return
    const others = [...this.#active()].length - 1
    if (seat.position - seat.mark < (others > 0 ? LEAST_TAKEN : 1)) seat.isCut = true
    seat.heldUp = 0
  }
}
