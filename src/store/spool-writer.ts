import type { Hash } from 'node:crypto'
import type { BlockPool } from './block-pool.ts'
import type { SpoolTail } from './spool-tail.ts'
import type { SpoolTape } from './spool-tape.ts'

/** Bytes that make a write worth while, and the most that one writes and hashes at a time. */
const WRITE_BYTES = 512 * 1024
const MAX_WRITE_BYTES = 1024 * 1024
/** Bytes that may wait for the disk before the download is slowed down. */
const MAX_PENDING = 4 * 1024 * 1024
/** The same where many downloads share the memory. */
const MAX_PENDING_TIGHT = 1024 * 1024
/** Milliseconds until fewer bytes are written as well: what a kill may cost, and no more. */
const LINGER_MS = 20

export interface WriterParts {
  readonly tail: SpoolTail
  readonly tape: SpoolTape
  /** Of what is on the tape already. */
  readonly hash: Hash
  readonly blocks: BlockPool
  /** Called once, when the tape takes no more. */
  readonly onFailed: (reason: unknown) => void
}

/**
 * Brings what a download's tail gathers to the tape, and into the hash: in few, large writes, and what is
 * less than one after a moment.
 */
export class SpoolWriter {
  readonly #parts: WriterParts
  #flushing: Promise<void> | undefined
  /** What lies before this position is not to wait for more. */
  #due = 0
  #linger: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(parts: WriterParts) {
    this.#parts = parts
  }

  /** The tail has grown. A promise, if there is one, resolves when it may grow on; it never rejects. */
  goOn(): Promise<void> | undefined {
    const { tail, blocks } = this.#parts
    if (blocks.isFull) return this.flush()
    const flushing = this.#begin() ?? this.#beginSoon()
    const most = blocks.isTight ? MAX_PENDING_TIGHT : MAX_PENDING
    return tail.unwritten > most ? flushing : undefined
  }

  /** Resolves when all that is here is written, or cannot be; `undefined`: at once. Never rejects. */
  flush(): Promise<void> | undefined {
    this.#due = this.#parts.tail.end
    return this.#begin()
  }

  /** Resolves when nothing is written any more, and nothing will be; `undefined`: at once. Never rejects. */
  stop(): Promise<void> | undefined {
    this.#isStopped = true
    clearTimeout(this.#linger)
    return this.#flushing
  }

  /** `undefined`: there is nothing to write now. */
  #begin(): Promise<void> | undefined {
    if (this.#isWorthWriting) this.#flushing ??= this.#writeOut()
    return this.#flushing
  }

  /** Unless more comes before. */
  #beginSoon(): undefined {
    if (this.#isStopped || this.#parts.tail.unwritten === 0) return
    this.#linger ??= setTimeout(() => void this.flush(), LINGER_MS)
  }

  get #isWorthWriting(): boolean {
    const { unwritten, end } = this.#parts.tail
    if (this.#isStopped) return false
    return unwritten >= WRITE_BYTES || (unwritten > 0 && end - unwritten < this.#due)
  }

  async #writeOut(): Promise<void> {
    clearTimeout(this.#linger)
    this.#linger = undefined
    const { tail, tape, hash, onFailed } = this.#parts
    try {
      while (this.#isWorthWriting) {
        const pieces = tail.next(MAX_WRITE_BYTES)
        const written = tape.put(pieces)
        // While the disk is at it.
        for (const piece of pieces) hash.update(piece)
        await written
        tail.wrote(tape.length)
      }
    } catch (reason) {
      // Told instead of thrown: a write may fail while nobody waits for it.
      this.#isStopped = true
      onFailed(reason)
    } finally {
      this.#flushing = undefined
      this.#beginSoon()
    }
  }
}
