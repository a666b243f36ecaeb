import type { UpstreamName } from '../oci/reference.ts'

/** For people, metrics, and the decision whether a check is worth a request. */
export interface UpstreamState {
  /** In the order in which they are asked; none of one that is offline. */
  readonly endpoints: readonly EndpointState[]
  /** So few pulls are left that none is to be spent on what is here already. */
  readonly isSaving: boolean
  /** Requests that have a slot, blobs until their last byte, and requests that wait for one. */
  readonly underWay: number
  readonly queued: number
  /** Requests for warming and prefetching that wait behind those. */
  readonly background: number
}

export interface EndpointState {
  /** `host` or `host:port`. */
  readonly host: string
  readonly circuit: CircuitState
  /** What the endpoint said last to the credentials in use; `undefined` if nothing, or too long ago. */
  readonly rateLimit: RateLimitState | undefined
}

/** `half-open`: one request is under way to find out whether the endpoint is back. */
type CircuitName = 'closed' | 'open' | 'half-open'

export interface CircuitState {
  readonly name: CircuitName
  /** Milliseconds since the epoch; for a closed one that never opened, when it was made. */
  readonly since: number
  /** Until then (ms since the epoch) nobody is let through; only while open. */
  readonly until: number | undefined
  /** What opened it, as a sentence without secrets; `undefined` while closed. */
  readonly reason: string | undefined
}

export interface RateLimitState {
  /** Pulls in all and left, in the window. */
  readonly limit: number
  readonly remaining: number
  /** Seconds; `undefined` if it does not say. */
  readonly window: number | undefined
  /** Milliseconds since the epoch. */
  readonly toldAt: number
}

/** A circuit has changed. One that stays open for hours goes to half-open and back all the time. */
export interface CircuitEvent {
  readonly host: string
  readonly from: CircuitName
  readonly to: CircuitName
  readonly until: number | undefined
  readonly reason: string | undefined
}

/** What happens to an upstream as a whole, for the log. */
export type UpstreamEvent =
  | ({ readonly what: 'circuit'; readonly upstream: UpstreamName } & CircuitEvent)
  | {
      readonly what: 'saving'
      readonly upstream: UpstreamName
      readonly host: string
      readonly isSaving: boolean
      readonly rateLimit: RateLimitState
    }
