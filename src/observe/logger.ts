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
> & {
  /**
   * Takes a whole line of JSON, with its end, as it is to be written: what nobody checks any more. Absent where
   * lines are for people.
   */
  readonly writeLine?: (line: string) => void
}

export interface LoggerOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Standard output by default. */
  readonly destination?: DestinationStream
  /** Whether a person is looking; by default whether standard output is a terminal. */
  readonly isTerminal?: boolean
}

interface Flushable extends DestinationStream {
  flush?(callback: (error?: Error) => void): void
}

/** Characters of lines that are worth a write of their own, and milliseconds after which any are. */
const WRITE_AT_ONCE = 8 * 1024
const WRITE_AFTER_MS = 20
/** Bytes of lines that wait for a slow reader of our output; beyond it lines are dropped. */
const MAX_WAITING = 8 * 1024 * 1024

/**
 * A pino logger to which nothing secret can be told: whatever it is handed passes an allow-list of types
 * first. One JSON object or one pretty line per call.
 */
export function createLogger(options: LoggerOptions): Logger {
  const isTerminal = options.isTerminal ?? process.stdout.isTTY
  const isPretty = options.format === 'pretty' || (options.format === 'auto' && isTerminal)
  const destination = options.destination ?? standardOutput()
  const logger = pino(
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
  if (isPretty) return logger
  return Object.assign(logger, { writeLine: (line: string) => destination.write(line) })
}

/**
 * Not synchronous: a reader of our output that stalls must not stall the mirror. Lines are written together,
 * after a moment that nobody who reads along notices: a system call for each would cost more than its request.
 */
function standardOutput(): Flushable {
  const output = pino.destination({
    dest: 1,
    sync: false,
    minLength: 1,
    maxLength: MAX_WAITING,
  })
  let lines = ''
  const hand = () => {
    if (lines !== '') output.write(lines)
    lines = ''
  }
  const writeOut = () => {
    hand()
    output.flush()
  }
  // pino writes what it has when the process ends, in either way, and knows nothing of what waits here.
  process.prependListener('beforeExit', hand)
  process.prependListener('exit', () => {
    if (lines === '') return
    output.flushSync()
    hand()
    output.flushSync()
  })
  return {
    write(line) {
      if (lines === '') setTimeout(writeOut, WRITE_AFTER_MS).unref()
      lines += line
      if (lines.length >= WRITE_AT_ONCE) hand()
    },
    flush(callback) {
      hand()
      output.flush(callback)
    },
  }
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

function prettyDestination(destination: Flushable, isTerminal: boolean): Flushable {
  const format = prettyFactory({
    colorize: isTerminal && !process.env['NO_COLOR'],
    translateTime: 'SYS:HH:MM:ss.l',
    hideObject: true,
    messageFormat: (fields) => prettyLine(fields),
  })
  const flush = destination.flush?.bind(destination)
  return { write: (line) => destination.write(format(line)), ...(flush && { flush }) }
}
