import type { LoggerOptions } from '../../src/observe/logger.ts'
import { createLogger } from '../../src/observe/logger.ts'

/** A logger at `trace` that writes into memory. */
export function collectLines(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const logger = createLogger({ level: 'trace', format: 'json', destination, ...options })
  return { logger, lines, text: () => lines.join('') }
}

/** What no output may contain, in whatever way it was brought in. */
export const CANARY = 'Canary7Secret'
