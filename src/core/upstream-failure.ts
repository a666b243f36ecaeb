/**
 * Why an upstream gave no answer:
 * - `denied`: it refuses us (401, 403), also after a fresh token;
 * - `rate-limited`: 429;
 * - `unavailable`: no connection, 5xx, or broken in the middle;
 * - `timeout`: connected but silent;
 * - `misbehaved`: an answer that no registry gives (HTML, a wrong digest, a redirect loop, a forbidden address);
 * - `busy`: our own queue for this upstream is full, or is not to be waited in;
 * - `offline`: the operator has said that it is not to be asked.
 */
export type FailureKind =
  'denied' | 'rate-limited' | 'unavailable' | 'timeout' | 'misbehaved' | 'busy' | 'offline'

export class UpstreamFailure extends Error {
  override readonly name = 'UpstreamFailure'
  readonly kind: FailureKind
  /** Seconds that upstream asks us to wait, capped at an hour. */
  readonly retryAfter: number | undefined
  /** `false`: nobody was asked, because the circuit is open or the upstream offline. */
  readonly wasAsked: boolean

  /** `message` names what was tried and what happened, without any secret or query string. */
  constructor(
    kind: FailureKind,
    message: string,
    options: { cause?: unknown; retryAfter?: number; wasAsked?: boolean } = {},
  ) {
    super(message, { cause: options.cause })
    this.kind = kind
    this.retryAfter = options.retryAfter
    this.wasAsked = options.wasAsked ?? true
  }
}
