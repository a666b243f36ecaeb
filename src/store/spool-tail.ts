import type { Block, BlockPool } from './block-pool.ts'

/** Bytes that are kept after they were written, for those who follow closely. */
const KEPT_BYTES = 2 * 1024 * 1024
/** Bytes that those who are slow to take what they were given may keep from being used again. */
const MAX_LINGERING = 2 * 1024 * 1024

interface Part {
  /** Where in the blob its first byte belongs. */
  readonly start: number
  readonly block: Block
  filled: number
  /** Readers that are sending from it. */
  readers: number
}

/** Bytes in memory. Whoever has them releases them once, soon. */
export interface Held {
  readonly bytes: Uint8Array
  release(): void
}

/**
 * The newest bytes of one download: those that are not written yet, and a few more. Whoever follows it
 * closely is sent these very blocks, and nobody reads them back from the disk.
 */
export class SpoolTail {
  readonly #pool: BlockPool
  /** In order, without gaps. */
  readonly #parts: Part[] = []
  readonly #size: number
  #end: number
  #written: number
  /** Bytes of blocks that have left, but that a reader is still sending. */
  #lingering = 0
  #isClosed = false

  /** `start`: of the first byte that will come. `size`: of the blob, in bytes. */
  constructor(pool: BlockPool, start: number, size = Infinity) {
    this.#pool = pool
    this.#size = size
    this.#end = start
    this.#written = start
  }

  /** Where the next byte belongs. */
  get end(): number {
    return this.#end
  }

  /** Bytes that are nowhere else. */
  get unwritten(): number {
    return this.#end - this.#written
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Copies them. */
  append(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length;) {
      const part = this.#open(bytes.length - taken)
      const room = part.block.bytes.length - part.filled
      const piece = bytes.subarray(taken, taken + room)
      part.block.bytes.set(piece, part.filled)
      part.filled += piece.length
      taken += piece.length
      this.#end += piece.length
    }
  }

  /** What is to be written next: at most so many bytes. They stay until `wrote`. */
  next(atMost: number): readonly Uint8Array[] {
    const pieces: Uint8Array[] = []
    let left = Math.min(atMost, this.unwritten)
    for (const { start, block, filled } of this.#parts) {
      const from = Math.max(0, this.#written - start)
      if (left === 0) break
      if (from >= filled) continue
      const piece = block.bytes.subarray(from, Math.min(filled, from + left))
      pieces.push(piece)
      left -= piece.length
    }
    return pieces
  }

  /** The bytes up to this position are written. */
  wrote(position: number): void {
    this.#written = position
    this.#trim()
  }

  /** What is here from the position on, within one block. `undefined`: not here, or not for everyone. */
  hold(position: number): Held | undefined {
    const part = this.#partAt(position)
    if (part === undefined) return undefined
    const isSpare = !this.#pool.isTight && this.#lingering < MAX_LINGERING
    if (part.readers === 0 && !isSpare) return undefined
    part.block.hold()
    part.readers += 1
    const bytes = part.block.bytes.subarray(position - part.start, part.filled)
    return { bytes, release: () => this.#release(part) }
  }

  /** Gives all memory back, except what is being sent. */
  close(): void {
    this.#isClosed = true
    while (this.#parts.length > 0) this.#dropFirst()
  }

  #open(useful: number): Part {
    const last = this.#parts.at(-1)
    if (last !== undefined && last.filled < last.block.bytes.length) return last
    const left = this.#size === Infinity ? Infinity : Math.max(useful, this.#size - this.#end)
    const part = { start: this.#end, block: this.#pool.take(left), filled: 0, readers: 0 }
    this.#parts.push(part)
    return part
  }

  #partAt(position: number): Part | undefined {
    // Readers are near the end, or not here at all.
    return this.#parts.findLast(
      ({ start, filled }) => start <= position && position < start + filled,
    )
  }

  #trim(): void {
    const kept = this.#pool.isTight ? 0 : KEPT_BYTES
    for (let first = this.#parts[0]; first !== undefined; first = this.#parts[0]) {
      const end = first.start + first.block.bytes.length
      if (end > this.#written || this.#end - end < kept) return
      this.#dropFirst()
    }
  }

  #dropFirst(): void {
    const part = this.#parts.shift()
    if (part === undefined) return
    if (part.readers > 0) this.#lingering += part.block.bytes.length
    part.block.release()
  }

  #release(part: Part): void {
    part.readers -= 1
    part.block.release()
    if (part.readers === 0 && !this.#parts.includes(part)) {
      this.#lingering -= part.block.bytes.length
    }
  }
}
