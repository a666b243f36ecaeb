import { UpstreamFailure } from '../core/upstream-failure.ts'

/** Requests that may wait for a slot; the next one is told at once that we are busy. */
const QUEUE = 256

/** A number of places, given away in the order of asking. */
export class Slots {
  readonly #capacity: number
  readonly #label: string
  readonly #waiting = new Set<() => void>()
  #taken = 0

  /** `label` is what the person who reads "busy" knows it by. */
  constructor(capacity: number, label: string) {
    this.#capacity = capacity
    this.#label = label
  }

  /** How many are held, and how many wait for one. */
  load(): { readonly taken: number; readonly waiting: number } {
    return { taken: this.#taken, waiting: this.#waiting.size }
  }

  /**
   * Resolves to the function that gives the slot back (harmless when called twice). Rejects with the
   * signal's reason, or with UpstreamFailure `busy` when too many wait already.
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#taken < this.#capacity) this.#taken += 1
    else await this.#wait(signal)
    return this.#held()
  }

  /** As `acquire`, for what can be had in another way: `busy` at once if no slot is free. */
  async acquireFree(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#taken === this.#capacity) throw new UpstreamFailure('busy', this.#explain())
    this.#taken += 1
    return this.#held()
  }

  #held(): () => void {
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#release()
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= QUEUE) throw new UpstreamFailure('busy', this.#explain())
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = () => {
      this.#waiting.delete(resolve)
      reject(signal.reason)
    }
    this.#waiting.add(resolve)
    signal.addEventListener('abort', leave, { once: true })
    await promise.finally(() => signal.removeEventListener('abort', leave))
  }

  /** The slot passes to whoever waits longest, without being free in between. */
  #release(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#taken -= 1
      return
    }
    this.#waiting.delete(next)
    next()
  }

  #explain(): string {
    const load = `${this.#capacity} requests are under way and ${this.#waiting.size} wait`
    return `${this.#label}: ${load}; try again later, or raise its \`connections\``
  }
}
