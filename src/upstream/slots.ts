import { UpstreamFailure } from '../core/upstream-failure.ts'

/** Requests of one lane that may wait for a slot; the next one is told at once that we are busy. */
const QUEUE = 256

/** `background` waits behind `client`, and never holds more than half of the slots. */
export type Lane = 'client' | 'background'

/** Called with the lane in which the slot is held. */
type GiveSlot = (lane: Lane) => void

/** A number of places, given away in the order of asking: to clients first. */
export class Slots {
  readonly #capacity: number
  readonly #label: string
  readonly #waiting = { client: new Set<GiveSlot>(), background: new Set<GiveSlot>() }
  readonly #taken = { client: 0, background: 0 }

  /** `label` is what the person who reads "busy" knows it by. */
  constructor(capacity: number, label: string) {
    this.#capacity = capacity
    this.#label = label
  }

  /** How many are held, and how many wait for one: clients, and those behind them. */
  load(): { readonly taken: number; readonly waiting: number; readonly behind: number } {
    const { client, background } = this.#waiting
    return { taken: this.#used, waiting: client.size, behind: background.size }
  }

  /**
   * Resolves to the function that gives the slot back (harmless when called twice). Rejects with the
   * signal's reason, or with UpstreamFailure `busy` when too many of the lane wait already. When `hurry`
   * aborts, what waits in the background waits with the clients from then on, behind those that are there.
   */
  async acquire(
    signal: AbortSignal,
    lane: Lane = 'client',
    hurry?: AbortSignal,
  ): Promise<() => void> {
    signal.throwIfAborted()
    const own = hurry?.aborted === true ? 'client' : lane
    if (!this.#mayTake(own)) return this.#held(await this.#wait(signal, own, hurry))
    this.#taken[own] += 1
    return this.#held(own)
  }

  /** As `acquire`, for what can be had in another way: `busy` at once if no slot is free. */
  async acquireFree(signal: AbortSignal, lane: Lane = 'client'): Promise<() => void> {
    signal.throwIfAborted()
    if (!this.#mayTake(lane)) throw new UpstreamFailure('busy', this.#explain(lane))
    this.#taken[lane] += 1
    return this.#held(lane)
  }

  get #used(): number {
    return this.#taken.client + this.#taken.background
  }

  /** Where a slot is free no client waits: nobody is overtaken. */
  #mayTake(lane: Lane): boolean {
    if (this.#used >= this.#capacity) return false
    return lane === 'client' || this.#taken.background < Math.max(1, Math.floor(this.#capacity / 2))
  }

  #held(lane: Lane): () => void {
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#release(lane)
    }
  }

  async #wait(signal: AbortSignal, lane: Lane, hurry: AbortSignal | undefined): Promise<Lane> {
    const waiting = this.#waiting[lane]
    if (waiting.size >= QUEUE) throw new UpstreamFailure('busy', this.#explain(lane))
    const { promise, resolve, reject } = Promise.withResolvers<Lane>()
    const leave = () => {
      this.#waiting.background.delete(resolve)
      this.#waiting.client.delete(resolve)
      reject(signal.reason)
    }
    const advance = () => this.#advance(resolve)
    waiting.add(resolve)
    signal.addEventListener('abort', leave, { once: true })
    hurry?.addEventListener('abort', advance, { once: true })
    return promise.finally(() => {
      signal.removeEventListener('abort', leave)
      hurry?.removeEventListener('abort', advance)
    })
  }

  /** Nobody is refused here who has been let in already, however many clients wait. */
  #advance(give: GiveSlot): void {
    if (!this.#waiting.background.delete(give)) return
    if (this.#mayTake('client')) this.#give(give, 'client')
    else this.#waiting.client.add(give)
  }

  #give(give: GiveSlot, lane: Lane): void {
    this.#taken[lane] += 1
    give(lane)
  }

  /** The slot passes to whoever waits longest, without being free in between. */
  #release(lane: Lane): void {
    this.#taken[lane] -= 1
    for (const next of ['client', 'background'] as const) {
      const [first] = this.#waiting[next]
      if (first === undefined || !this.#mayTake(next)) continue
      this.#waiting[next].delete(first)
      this.#give(first, next)
      return
    }
  }

  #explain(lane: Lane): string {
    const waiting = this.#waiting[lane].size
    const load = `${this.#used} of at most ${this.#capacity} requests are under way and ${waiting} wait`
    return `${this.#label}: ${load}; try again later, or raise its \`connections\``
  }
}
