import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import { isFinal } from './transport-failure.ts'

const MAX_RETRIES = 2
/** Milliseconds after which a failure is final: by then the client has better things to do. */
const WINDOW = 3_000

const FIRST_PAUSE = 200
const LONGEST_PAUSE = 4_000

/**
 * Tries again, up to twice and only soon, what may pass by itself: a refused or broken connection, or a
 * 5xx. Nothing that has timed out (its time is gone), nothing that told us when to come back, and no password
 * that a proxy has refused.
 */
export async function retried<T>(
  clock: Clock,
  signal: AbortSignal,
  task: () => Promise<T>,
): Promise<T> {
  const started = clock.now()
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task()
    } catch (failure) {
      const isLate = clock.now() - started > WINDOW
      if (attempt === MAX_RETRIES || isLate || !mayPass(failure)) throw failure
    }
    await clock.sleep(backoff(attempt), signal)
    signal.throwIfAborted()
  }
}

/** Milliseconds to wait after failure `attempt`, from 0: doubling, and at random so that mirrors do not march in step. */
export function backoff(attempt: number): number {
  const ceiling = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** attempt)
  return ceiling * (0.5 + Math.random() / 2)
}

function mayPass(failure: unknown): boolean {
  if (!(failure instanceof UpstreamFailure)) return false
  return failure.kind === 'unavailable' && failure.retryAfter === undefined && !isFinal(failure)
}
