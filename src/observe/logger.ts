import { pino, stdTimeFunctions } from 'pino'
import type { DestinationStream, Logger as PinoLogger } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { loggable, loggableFields } from './loggable.ts'
import { prettyLine } from './pretty-line.ts'
import { redactError, redactText } from './redact.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'
/** `auto`: pretty on a terminal, else JSON. */
export type LogFormat = 'auto' | 'json' | 'pretty'

/** pino without `child`, whose bindings would pass by the redaction. */
export type Logger = Pick<
  PinoLogger,
  'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'flush' | 'isLevelEnabled' | 'level'
>

export interface LoggerOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Standard output by default. */
  readonly destination?: DestinationStream
  /** Whether a person is looking; by default whether standard output is a terminal. */
  readonly isTerminal?: boolean
}

/** Bytes of lines that wait for a slow reader of our output; beyond it lines are dropped. */
const MAX_WAITING = 8 * 1024 * 1024

/**
 * A pino logger to which nothing secret can be told: whatever it is handed passes an allow-list of types
 * first. One JSON object or one pretty line per call.
 */
export function createLogger(options: LoggerOptions): Logger {
  const isTerminal = options.isTerminal ?? process.stdout.isTTY
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && isTerminal)
  // Not synchronous: a reader of our output that stalls must not stall the mirror. pino flushes at exit.
  const destination =
    options.destination ?? pino.destination({ dest: 1, sync: false, maxLength: MAX_WAITING })
  return pino(
    {
      level: options.level,
      base: null,
      errorKey: 'error',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // pino's own serializers would put back what `redactError` left out.
      serializers: { error: (error: unknown) => error, err: (error: unknown) => error },
      hooks: { logMethod: logRedacted },
    },
    isPretty ? prettyDestination(destination, isTerminal) : destination,
  )
}

/** pino takes `(fields, message, …)`, `(error)` and `(message, …)`; every one comes through here. */
function logRedacted(
  this: PinoLogger,
  [first, ...rest]: unknown[],
  method: (this: PinoLogger, fields: object, message: string, ...values: unknown[]) => void,
): void {
  if (typeof first !== 'object' || first === null) {
    method.call(this, {}, redactText(String(first)), ...rest.map((value) => loggable(value)))
    return
  }
  const error = first instanceof Error ? redactError(first) : undefined
  const [message = error?.message ?? '', ...values] = rest
  const fields = error === undefined ? loggableFields(first) : { error }
  method.call(this, fields, redactText(String(message)), ...values.map((value) => loggable(value)))
}

function prettyDestination(destination: DestinationStream, isTerminal: boolean): DestinationStream {
  const format = prettyFactory({
    colorize: isTerminal && !process.env['NO_COLOR'],
    translateTime: 'SYS:HH:MM:ss.l',
    hideObject: true,
    messageFormat: (fields) => prettyLine(fields),
  })
  return { write: (line) => destination.write(format(line)) }
}
