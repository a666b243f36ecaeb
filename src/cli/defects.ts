import type { Logger } from '../observe/logger.ts'
import type { Signals } from './stop-signals.ts'

/** Milliseconds for the last line to be written, if anybody reads it. */
const LAST_LINE_MS = 1_000

/**
 * An error that nobody has caught, a rejected promise among them, leaves the process in a state that nobody
 * has thought of. It ends, with a line that says why, and whatever starts it again finds the data as a kill
 * would have left it.
 */
export function endOnDefect(signals: Signals, logger: Logger): void {
  let hasDefect = false
  signals.on('uncaughtException', (error: Error) => {
    if (hasDefect) return
    hasDefect = true
    logger.fatal({ error }, 'ended by an error that nobody caught: please report it')
    logger.flush(() => signals.exit(1))
    setTimeout(() => signals.exit(1), LAST_LINE_MS)
  })
}
