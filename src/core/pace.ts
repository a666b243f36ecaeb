import type { Clock } from './ports.ts'

/** What is believed before anything has been measured: as if it had come at 8 MiB/s for half a second. */
const ASSUMED_BYTES = 4 * 1024 * 1024
const ASSUMED_MS = 500
/** Milliseconds after which older times say nothing about now. */
const WINDOW_MS = 2_000

interface Mark {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Bytes that had arrived by then. */
  readonly received: number
}

/** How fast a download comes, judged by its last two to four seconds, or by all of a silence. */
export class Pace {
  readonly #clock: Pick<Clock, 'now'>
  #received = 0
  #older: Mark
  #newer: Mark

  constructor(clock: Pick<Clock, 'now'>) {
    const now = clock.now()
    this.#clock = clock
    this.#older = { at: now - ASSUMED_MS, received: -ASSUMED_BYTES }
    this.#newer = { at: now, received: 0 }
  }

  /** So many more bytes have arrived. */
  add(bytes: number): void {
    this.#received += bytes
    const now = this.#clock.now()
    if (now - this.#newer.at < WINDOW_MS) return
    this.#older = this.#newer
    this.#newer = { at: now, received: this.#received }
  }

  /** Milliseconds until the byte at `position` is here, if it goes on like this; 0 if it is. */
  msUntil(position: number): number {
    const ahead = position - this.#received
    if (ahead < 0) return 0
    const { at, received } = this.#older
    return (ahead * (this.#clock.now() - at)) / (this.#received - received)
  }
}
