import { setTimeout as sleep } from 'node:timers/promises'
import type { FakeRegistry } from '../support/fake-registry.ts'
import type { Fault } from '../support/fault.ts'
import type { Random } from '../torture/random.ts'
import { pick } from '../torture/random.ts'
import type { Stock } from './stock.ts'
import type { Weather } from './tally.ts'

const MIB = 1024 * 1024
const FAIR_MS = 20_000
const HARD_MS = 4_000
/** Until the mirror has to be as before: a circuit may stay open for a while, a failure is remembered. */
const RECOVERY_MS = 35_000
const FAULT_EVERY_MS = 250

/** Each happens to one request: a pull that meets it has to succeed nevertheless. */
const MENDABLE: readonly Fault[] = [
  { kind: 'blob', method: 'GET', action: { cut: { after: MIB, how: 'reset' } } },
  { kind: 'blob', method: 'GET', action: { cut: { after: MIB / 2 + 1, how: 'fin' } } },
  { kind: 'blob', method: 'GET', action: { cut: { after: 0, how: 'reset' } } },
  { kind: 'blob', method: 'GET', action: { drip: { bytes: 256 * 1024, everyMs: 100 } } },
  { kind: 'blob', method: 'GET', ranged: true, action: { ignoreRange: true } },
  { kind: 'blob', action: { delay: 1_500 } },
  { kind: 'blob', action: { status: 503 } },
  { kind: 'manifest', action: { delay: 1_000 } },
  { kind: 'manifest', action: { status: 502 } },
  { kind: 'manifest', action: { hangUp: 'reset' } },
]

/** The same request's second try must not meet another refusal: of what is refused each time, nothing is left to mend. */
const AFTER_REFUSAL = MENDABLE.filter(({ action }) => !isRefusal(action))

/** What no pull of something that is not here can survive. */
const HARD: readonly Fault[] = [
  { action: { status: 500 } },
  { action: { status: 429, headers: { 'retry-after': '2' } } },
  { action: { hangUp: 'fin' } },
  { action: { body: '<html>log in</html>', headers: { 'content-type': 'text/html' } } },
]

/** Makes it fair and hard by turns. */
export class WeatherMaker {
  readonly #registry: FakeRegistry
  readonly #stock: Stock
  readonly #random: Random
  /** When it was hard last, or when what that left behind ends; milliseconds of `performance.now()`. */
  #hardUntil = 0
  outages = 0
  faults = 0

  constructor(registry: FakeRegistry, stock: Stock, random: Random) {
    this.#registry = registry
    this.#stock = stock
    this.#random = random
  }

  /** What a pull that began at `since` has seen up to now. */
  since(since: number): Weather {
    return since < this.#hardUntil ? 'hard' : 'fair'
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#fair(signal)
      if (!signal.aborted) await this.#hard(signal)
    }
    this.#clear()
  }

  async #fair(signal: AbortSignal): Promise<void> {
    const end = performance.now() + FAIR_MS
    let choice = MENDABLE
    while (performance.now() < end && !signal.aborted) {
      this.#clear()
      const fault = pick(this.#random, choice)
      this.#registry.inject({ ...fault, times: 1 })
      choice = isRefusal(fault.action) ? AFTER_REFUSAL : MENDABLE
      this.faults += 1
      await rest(FAULT_EVERY_MS, signal)
    }
  }

  async #hard(signal: AbortSignal): Promise<void> {
    this.outages += 1
    this.#hardUntil = Infinity
    this.#clear()
    if (this.#random() < 0.3) {
      await this.#registry.stop()
      await rest(HARD_MS, signal)
      await this.#registry.restart()
    } else {
      this.#registry.inject(pick(this.#random, HARD))
      await rest(HARD_MS, signal)
    }
    this.#clear()
    this.#hardUntil = performance.now() + RECOVERY_MS
    await rest(RECOVERY_MS, signal)
  }

  #clear(): void {
    this.#registry.reset()
    const { digest } = this.#stock.poison
    this.#registry.inject({ kind: 'blob', reference: digest, action: { corrupt: 'last' } })
  }
}

function isRefusal(action: Fault['action']): boolean {
  return 'status' in action || 'hangUp' in action
}

/** Rejects only for the abort, which is how it ends. */
export async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}
