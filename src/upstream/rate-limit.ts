import type { Clock } from '../core/ports.ts'
import type { RateLimitState } from '../core/upstream-state.ts'
import type { Reply } from './reply.ts'

/** What a registry says about how much more it will give us: Docker Hub, in `ratelimit-*` headers. */
export interface RateLimit {
  /** Pulls in all and left, in the window. */
  readonly limit: number
  readonly remaining: number
  /** Seconds; `undefined` if it does not say. */
  readonly window: number | undefined
}

/** `100;w=21600`: 100 in six hours. */
const QUOTA = /^(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?/

/**
 * Milliseconds that a statement is believed, and never longer than its window. Pulls come back one by one
 * as old ones leave the window, which nobody tells us: so one check goes upstream now and then, by HEAD.
 */
const BELIEVED_MS = 15 * 60_000

/** `undefined` unless it states both what there is and what is left. */
export function readRateLimit(reply: Pick<Reply, 'header'>): RateLimit | undefined {
  const all = QUOTA.exec(reply.header('ratelimit-limit') ?? '')
  const left = QUOTA.exec(reply.header('ratelimit-remaining') ?? '')
  if (all === null || left === null) return undefined
  const window = all[2] ?? left[2]
  return {
    limit: Number(all[1]),
    remaining: Number(left[1]),
    window: window === undefined ? undefined : Number(window),
  }
}

/** The last statement of one endpoint, to whomever it was made. */
export class RateMemory {
  readonly #reserve: number
  readonly #clock: Pick<Clock, 'now'>
  readonly #onSaving: (isSaving: boolean, told: RateLimitState) => void
  #account: string | undefined
  #told: RateLimitState | undefined
  #wasSaving = false

  /** Below `reserve` pulls that are left, it saves; 0 never does. */
  constructor(
    reserve: number,
    clock: Pick<Clock, 'now'>,
    onSaving: (isSaving: boolean, told: RateLimitState) => void = () => {},
  ) {
    this.#reserve = reserve
    this.#clock = clock
    this.#onSaving = onSaving
  }

  /**
   * `account` is who asked; what another account has left says nothing about this one. Nobody's answer does
   * not either: before it is told whom to ask for a token, the registry is asked by nobody.
   */
  note(reply: Pick<Reply, 'header'>, account: string | undefined): void {
    const limit = readRateLimit(reply)
    if (limit === undefined) {
      if (account !== undefined && account !== this.#account) this.#told = undefined
      return
    }
    const told = { ...limit, toldAt: this.#clock.now() }
    this.#account = account
    this.#told = told
    const isSaving = this.isSaving()
    if (isSaving !== this.#wasSaving) this.#onSaving(isSaving, told)
    this.#wasSaving = isSaving
  }

  /** `undefined` if it has said nothing, or too long ago. */
  state(): RateLimitState | undefined {
    const told = this.#told
    if (told === undefined) return undefined
    const life = Math.min(BELIEVED_MS, (told.window ?? Infinity) * 1000)
    const age = this.#clock.now() - told.toldAt
    return age >= 0 && age < life ? told : undefined
  }

  isSaving(): boolean {
    const told = this.state()
    return told !== undefined && told.remaining < this.#reserve
  }
}
