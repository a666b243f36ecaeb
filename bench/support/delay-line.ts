/** What takes the bytes at the far end: a socket's half. */
interface Sink {
  /** Takes no more until `drained` is called. */
  readonly writableNeedDrain: boolean
  write(bytes: Uint8Array): unknown
  end(): unknown
}

/** What can be asked to send no more for a while: the other socket's half. */
interface Source {
  pause(): unknown
  resume(): unknown
}

interface LineOptions {
  readonly from: Source
  readonly to: Sink
  /** From one end to the other, in milliseconds. */
  readonly delayMs: number
  /** By `performance.now()`: what comes earlier is taken as sent then. */
  readonly opensAt: number
}

/** Nothing is `undefined`: the end of what there is. */
interface Held {
  readonly due: number
  readonly bytes: Uint8Array | undefined
}

/** What is on its way at most: at 50 ms one way, 320 MB/s of each connection. */
export const LINE_BYTES = 16 * 1024 * 1024
/** Timers are late by up to 1 ms and a little: what is due so soon goes now. */
const GRAIN_MS = 0.75

/**
 * One direction of a wire: hands on what it is given, in order, each byte `delayMs` after it came. It has
 * no limit of bandwidth but holds a bounded number of bytes, and stops its source above that.
 */
export class DelayLine {
  readonly #options: LineOptions
  readonly #held: Held[] = []
  #heldBytes = 0
  #isPaused = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: LineOptions) {
    this.#options = options
  }

  push(bytes: Uint8Array): void {
    this.#heldBytes += bytes.length
    this.#hold(bytes)
    if (this.#heldBytes < LINE_BYTES || this.#isPaused) return
    this.#isPaused = true
    this.#options.from.pause()
  }

  /** The end travels as long as the bytes before it. */
  end(): void {
    this.#hold(undefined)
  }

  /** The sink takes more. */
  drained(): void {
    this.#send()
  }

  /** Drops what is on its way. */
  cut(): void {
    clearTimeout(this.#timer)
    this.#held.length = 0
  }

  #hold(bytes: Uint8Array | undefined): void {
    const { delayMs, opensAt } = this.#options
    this.#held.push({ due: Math.max(performance.now(), opensAt) + delayMs, bytes })
    // Else a timer runs, or the sink is full.
    if (this.#held.length === 1) this.#send()
  }

  #send(): void {
    const { to } = this.#options
    clearTimeout(this.#timer)
    while (!to.writableNeedDrain) {
      const [next] = this.#held
      if (next === undefined) return
      const wait = next.due - performance.now()
      if (wait > GRAIN_MS) {
        this.#timer = setTimeout(() => this.#send(), wait - GRAIN_MS)
        return
      }
      this.#held.shift()
      if (next.bytes === undefined) to.end()
      else this.#deliver(next.bytes)
    }
  }

  #deliver(bytes: Uint8Array): void {
    const { from, to } = this.#options
    this.#heldBytes -= bytes.length
    to.write(bytes)
    if (!this.#isPaused || this.#heldBytes > LINE_BYTES / 2) return
    this.#isPaused = false
    from.resume()
  }
}
