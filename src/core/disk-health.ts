import type { Log } from './log.ts'
import type { Clock } from './ports.ts'
import { NoSpace } from './ports.ts'

/** Whether the disk takes what is downloaded. Serving goes on in any case. */
export type DiskState =
  | { readonly kind: 'ok' }
  /** `since`: milliseconds since the epoch. `reason` is for a person. */
  | { readonly kind: 'full' | 'broken'; readonly since: number; readonly reason: string }

const WORDS = { full: 'disk is full', broken: 'disk refuses writes' } as const

/**
 * What downloads have learnt about the disk: it is in trouble from the first refusal until something lands
 * again. Each change is logged once, however many downloads meet it.
 */
export class DiskHealth {
  readonly #clock: Clock
  readonly #log: Log
  #state: DiskState = { kind: 'ok' }

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
  }

  get state(): DiskState {
    return this.#state
  }

  /** The disk did not take something. A limit of the operator's says nothing about the disk. */
  refused({ kind, message }: NoSpace): void {
    if (kind === 'limit' || kind === this.#state.kind) return
    const since = this.#state.kind === 'ok' ? this.#clock.now() : this.#state.since
    this.#state = { kind, since, reason: message }
    this.#log.error({ reason: message }, `${WORDS[kind]}: passed downloads on without storing them`)
  }

  /** The same for any failure to store something: whether there was no room for it, which is told here. */
  isToBlame(reason: unknown): boolean {
    if (!(reason instanceof NoSpace)) return false
    this.refused(reason)
    return true
  }

  /** Something has been stored. */
  took(): void {
    if (this.#state.kind === 'ok') return
    const { kind, since } = this.#state
    this.#state = { kind: 'ok' }
    this.#log.warn({ was: kind, ms: this.#clock.now() - since }, 'disk took a download again')
  }
}
