import { Coalescer } from '../core/coalescer.ts'
import type { Clock } from '../core/ports.ts'
import { abortable } from './abortable.ts'
import { askHelper } from './credential-helper.ts'
import type { CredentialHelper, Credentials, RegistryOptions } from './options.ts'

/** How long a helper's answer is used. What it gives lives longer (ECR 12 h, Google 1 h) but does expire. */
const KEEP_MS = 10 * 60_000
/** A helper's answer is not asked for again so soon, however often it is refused or it fails. */
const PAUSE_MS = 10_000

type Read = NonNullable<RegistryOptions['credentials']>

/** What a helper said last. Times in milliseconds since the epoch. */
interface HelperAnswer {
  readonly key: string
  readonly askedAt: number
  readonly usableUntil: number
  readonly outcome: { readonly credentials: Credentials } | { readonly failure: Error }
}

/**
 * The credentials of one upstream, for all its endpoints. What the configuration holds is read anew for
 * each use; a helper is a program that may ask the network, so it runs once for however many wait, and
 * what it said is remembered in memory until it is old or refused.
 */
export class CredentialSource {
  readonly #read: Read
  readonly #clock: Clock
  readonly #calls = new Coalescer<Credentials>()
  readonly #closed = new AbortController()
  #answer: HelperAnswer | undefined

  constructor(read: Read, clock: Clock) {
    this.#read = read
    this.#clock = clock
  }

  /** Rejects with an Error that names where it looked, and no secret. */
  async get(signal: AbortSignal): Promise<Credentials> {
    const found = await this.#read()
    return 'helper' in found ? this.#ask(found, signal) : found
  }

  /** Upstream does not take these: unless they are all new, the next `get` asks the helper for others. */
  refused(credentials: Credentials): void {
    const answer = this.#answer
    if (answer === undefined || !('credentials' in answer.outcome)) return
    const isNew = this.#clock.now() < answer.askedAt + PAUSE_MS
    if (answer.outcome.credentials === credentials && !isNew) this.#answer = undefined
  }

  /** Ends the helper that runs. */
  close(): void {
    this.#closed.abort(new Error('the mirror is shutting down'))
  }

  async #ask(helper: CredentialHelper, signal: AbortSignal): Promise<Credentials> {
    const key = JSON.stringify([helper.helper, helper.server])
    const answer = this.#answer
    if (answer?.key === key && this.#clock.now() < answer.usableUntil) {
      if ('failure' in answer.outcome) throw answer.outcome.failure
      return answer.outcome.credentials
    }
    const { result } = this.#calls.run(key, () => this.#run(helper, key))
    return abortable(result, signal)
  }

  /** Not bound to the signal of whoever asked first: others wait for it too. */
  async #run(helper: CredentialHelper, key: string): Promise<Credentials> {
    const askedAt = this.#clock.now()
    try {
      const credentials = await askHelper(helper, this.#clock, this.#closed.signal)
      const usableUntil = askedAt + KEEP_MS
      this.#answer = { key, askedAt, usableUntil, outcome: { credentials } }
      return credentials
    } catch (reason) {
      const failure = reason instanceof Error ? reason : new Error(String(reason))
      this.#answer = { key, askedAt, usableUntil: askedAt + PAUSE_MS, outcome: { failure } }
      throw failure
    }
  }
}
