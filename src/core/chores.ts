import type { Log } from './log.ts'
import type { Clock } from './ports.ts'

/** Something that is done behind the requests: until it is done once, or again and again. */
export type Chore = {
  readonly name: string
  run(signal: AbortSignal): Promise<void>
} &
  /** Ms from now, and from a failed run's end to the next try. */
  (
    | { readonly after: number; readonly retry: number }
    /** Ms from one run's end to the next one's beginning, and before the first. */
    | { readonly every: number }
  )

/** Runs each chore at its own pace. `stop` resolves when none is running any more. */
export class Chores {
  readonly #stopped = new AbortController()
  readonly #loops: Promise<void>[]

  constructor(chores: readonly Chore[], clock: Clock, log: Log) {
    const { signal } = this.#stopped
    this.#loops = chores.map((chore) => work(chore, clock, log, signal))
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await Promise.all(this.#loops)
  }
}

async function work(chore: Chore, clock: Clock, log: Log, signal: AbortSignal): Promise<void> {
  const isRepeated = 'every' in chore
  let pause = isRepeated ? chore.every : chore.after
  for (let isDue = true; isDue;) {
    await clock.sleep(pause, signal)
    if (signal.aborted) return
    isDue = isRepeated
    try {
      await chore.run(signal)
    } catch (error) {
      isDue = true
      if (!isRepeated) pause = chore.retry
      // Nobody waits for it. The next turn may do better; what it does not do costs safety, not service.
      log.error({ chore: chore.name, error }, 'failed at a chore')
    }
  }
}
