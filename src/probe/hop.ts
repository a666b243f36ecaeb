import type { UpstreamRequestEvent } from '../upstream/options.ts'

/** In the order in which a pull takes them. */
export type HopName =
  | 'address'
  | 'upstream'
  | 'dns'
  | 'connect'
  | 'token'
  | 'manifest'
  | 'platform'
  | 'blob'
  | 'rate limit'
  | 'mirror'

/** One step on the way from a reference to its bytes. */
export interface Hop {
  readonly name: HopName
  /** `warned`: it is not as it should be, and the pull goes on. `skipped`: there was nothing to try. */
  readonly outcome: 'ok' | 'warned' | 'failed' | 'skipped'
  /** What was found, or what went wrong. May repeat words of other machines. */
  readonly text: string
  /** Milliseconds. */
  readonly ms?: number
  /** What went over the wire. */
  readonly requests?: readonly UpstreamRequestEvent[]
  /** What to do. */
  readonly advice?: string
}
