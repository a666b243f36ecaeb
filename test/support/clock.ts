import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../src/core/ports.ts'

interface Sleeper {
  wakesAt: number
  readonly wake: () => void
}

/** Time that moves only when a test moves it. Starts at 2026-01-01. */
export class ManualClock implements Clock {
  #now = Date.UTC(2026, 0, 1)
  readonly #sleepers = new Set<Sleeper>()

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper: Sleeper = {
        wakesAt: this.#now + ms,
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', sleeper.wake)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', sleeper.wake)
    })
  }

  /** Somebody sets the time, ahead or back. Timers do not notice. */
  jump(ms: number): void {
    this.#now += ms
    for (const sleeper of this.#sleepers) sleeper.wakesAt += ms
  }

  /** How many sleep now: what a test waits for before it advances, and that nothing is left. */
  sleeping(): number {
    return this.#sleepers.size
  }

  /** Wakes sleepers in their order, and those that they make in turn, up to `ms` from now. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.wakesAt)
      next.wake()
      await nextTurn()
    }
    this.#now = end
    await nextTurn()
  }

  #next(end: number): Sleeper | undefined {
    const due = [...this.#sleepers].filter(({ wakesAt }) => wakesAt <= end)
    return due.toSorted((a, b) => a.wakesAt - b.wakesAt)[0]
  }
}
