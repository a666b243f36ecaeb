import type { Clock } from './ports.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** Milliseconds. containerd gives up on headers after 30 s, and asks the next host only if we answer first. */
const ANSWER_WITHIN_MS = 20_000

/** For those who abort a timer: a reason of their own each would cost more than the waiting. */
const OVER = 'over'

/** One client's patience: how long it may be kept waiting, and whether it is still there. */
export interface Wait {
  /** Milliseconds since the epoch by which the client must have an answer. */
  readonly until: number
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
}

export function newWait(clock: Clock, signal: AbortSignal): Wait {
  return { until: clock.now() + ANSWER_WITHIN_MS, signal }
}

/** Returned by `waitUntil` when the time is over; the promise itself goes on. */
export const LATE = Symbol('late')

/**
 * Waits for `promise` until `time`, and no longer than the client is there. Neither stops the work
 * behind the promise: other clients may be waiting for it, and a retry will find it further on.
 */
export async function waitUntil<T>(
  promise: Promise<T>,
  time: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<T | typeof LATE> {
  // Whoever has left sees no failure, and an unseen failure would end the process.
  promise.catch(() => {})
  signal.throwIfAborted()
  const timer = new AbortController()
  const late = clock
    .sleep(Math.max(0, time - clock.now()), timer.signal)
    .then((): typeof LATE => LATE)
  const { promise: left, reject } = Promise.withResolvers<never>()
  const leave = () => reject(signal.reason)
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([promise, late, left])
  } finally {
    signal.removeEventListener('abort', leave)
    timer.abort(OVER)
  }
}

/**
 * Runs work that no client's leaving ends, because others wait for it or will ask for its result. After
 * `ms` its signal aborts, with a failure that says that upstream was too slow.
 */
export async function limitTime<T>(
  ms: number,
  clock: Clock,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController()
  const timer = new AbortController()
  const end = async () => {
    await clock.sleep(ms, timer.signal)
    if (!timer.signal.aborted) limit.abort(tooSlow(what, ms))
  }
  void end()
  try {
    return await work(limit.signal)
  } finally {
    timer.abort(OVER)
  }
}

/** As `waitUntil`, for what has no substitute: at the end of the client's time it fails as a timeout. */
export async function waitFor<T>(
  promise: Promise<T>,
  wait: Wait,
  clock: Clock,
  what: string,
): Promise<T> {
  const result = await waitUntil(promise, wait.until, clock, wait.signal)
  if (result !== LATE) return result
  throw tooSlow(what, ANSWER_WITHIN_MS)
}

function tooSlow(what: string, ms: number): UpstreamFailure {
  return new UpstreamFailure('timeout', `${what}: no answer from upstream within ${ms / 1000} s`)
}
