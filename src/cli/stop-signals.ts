import { constants } from 'node:os'
import { StartError } from '../core/start-error.ts'

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** The part of `process` that is about signals and ending. */
export interface Signals {
  on(signal: StopSignal, listener: (signal: StopSignal) => void): unknown
  on(event: 'uncaughtException', listener: (error: Error) => void): unknown
  exit(code: number): void
}

/** A Ctrl-C under `npm start` arrives twice at once: from the terminal, and passed on by npm. */
const ECHO_MS = 250

/**
 * Resolves with the first SIGINT or SIGTERM. The next one, which means that someone lost patience, ends
 * the process at once, with the exit code that a shell gives to that signal.
 */
export function waitForStop(
  signals: Signals,
  now: () => number = () => performance.now(),
): Promise<StopSignal> {
  const { promise, resolve } = Promise.withResolvers<StopSignal>()
  let firstAt: number | undefined
  const onSignal = (signal: StopSignal) => {
    if (firstAt === undefined) {
      firstAt = now()
      resolve(signal)
    } else if (signal === 'SIGTERM' || now() - firstAt >= ECHO_MS) {
      signals.exit(128 + constants.signals[signal])
    }
  }
  signals.on('SIGINT', onSignal)
  signals.on('SIGTERM', onSignal)
  return promise
}

/** The first signal ends what is under way in good order. `hint` says what that means: the next run goes on here. */
export function abortOnStop(signals: Signals, hint: string): AbortSignal {
  const stopped = new AbortController()
  void waitForStop(signals).then((signal) =>
    stopped.abort(new StartError(`stopped by ${signal}: ${hint}`)),
  )
  return stopped.signal
}
