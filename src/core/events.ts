import type { UpstreamName } from '../oci/reference.ts'

/**
 * How a download ended: `landed` in the store; `unkept`: delivered, but there was no room to store it;
 * `wrong`: its bytes are not those of the digest; `stopped` by us; `failed` for any other reason.
 */
export type FlightEnd = 'landed' | 'unkept' | 'wrong' | 'stopped' | 'failed'

/** What happens behind the requests, told to whoever counts it. Neither may throw. */
export interface MirrorEvents {
  flightEnded(upstream: UpstreamName, end: FlightEnd): void
  /** A blob of so many bytes has made room. */
  evicted(bytes: number): void
}

export const untold: MirrorEvents = { flightEnded: () => {}, evicted: () => {} }
