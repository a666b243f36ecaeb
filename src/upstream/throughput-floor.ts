/** Slower than any line that one would pull images over; a trickle that never ends is as good as broken. */
const BYTES_PER_SECOND = 16 * 1024
const WINDOW_MS = 60_000

/**
 * Judges whether a body arrives at all. Only time spent waiting for the network counts, so that a
 * reader who takes his time is not held against the upstream.
 */
export class ThroughputFloor {
  #waited = 0
  #received = 0

  /** A piece has arrived after `ms` of waiting. False if the last minute of waiting brought too little. */
  admit(bytes: number, ms: number): boolean {
    this.#waited += ms
    this.#received += bytes
    if (this.#waited < WINDOW_MS) return true
    const isFastEnough = this.#received * 1000 >= BYTES_PER_SECOND * this.#waited
    this.#waited = 0
    this.#received = 0
    return isFastEnough
  }
}
