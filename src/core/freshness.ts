import type { FailureKind } from './upstream-failure.ts'

/** Far longer than any check takes. */
export const CLOCK_ERROR_MS = 60 * 60_000

/** How long a tag may be believed. Durations in milliseconds. */
export interface TagPolicy {
  readonly ttl: number
  /** How long a client waits for a check before it is given the copy that we hold. */
  readonly patience: number
  /** For this long after expiry the copy is served at once, and checked in the background. */
  readonly staleWhileRevalidate: number
  readonly staleIfError: number
  /** How long credentials may be refused before we believe it: they expire by accident. */
  readonly authGrace: number
  readonly onGone: 'drop' | 'keep'
  /** Tags that never move: once here, they are never checked again. */
  readonly isImmutable: (repository: string, tag: string) => boolean
}

export type Freshness = 'fresh' | 'usable' | 'expired'

/** `usable`: serve it now and check behind the client's back. `expired`: check first. */
export function judge(
  checkedAt: number,
  policy: TagPolicy,
  isImmutable: boolean,
  now: number,
): Freshness {
  if (isImmutable) return 'fresh'
  if (isFromFuture(checkedAt, now)) return 'expired'
  const age = ageOf(checkedAt, now)
  if (age < policy.ttl) return 'fresh'
  return age < policy.ttl + policy.staleWhileRevalidate ? 'usable' : 'expired'
}

/** Whether the last known digest may stand in for an answer that upstream did not give. */
export function mayServeStale(
  kind: FailureKind,
  checkedAt: number,
  policy: TagPolicy,
  now: number,
): boolean {
  const limit = kind === 'denied' ? policy.authGrace : policy.staleIfError
  return ageOf(checkedAt, now) < policy.ttl + limit
}

/** When it was checked, for telling which of two checks was the later one: what nobody can tell is the oldest. */
export function believe(checkedAt: number, now: number): number {
  return isFromFuture(checkedAt, now) ? -Infinity : checkedAt
}

/** So far ahead that the clock has been set back since: then nobody knows how old it is. */
function isFromFuture(checkedAt: number, now: number): boolean {
  return checkedAt > now + CLOCK_ERROR_MS
}

/** Milliseconds; a clock that was set back makes nothing younger than new. */
export function ageOf(checkedAt: number, now: number): number {
  return Math.max(0, now - checkedAt)
}
