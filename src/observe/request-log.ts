import { Memo } from '../core/memo.ts'
import type { Logger } from './logger.ts'
import { printable } from './printable.ts'
import { redactText } from './redact.ts'

const MAX_USER_AGENT = 200
const MAX_CLIENT = 64
/** They ask every few seconds, and nobody wants to read that. */
const PROBES = new Set(['livez', 'readyz'])

/** One request, told when its answer is over. */
export interface RequestLogEntry {
  /** Ours, and a UUID. Sent to the client as `X-Request-Id`, so that a person can find this line. */
  readonly id: string
  readonly method: string
  /** The client's address. */
  readonly client: string | undefined
  readonly userAgent: string | undefined
  /** Milliseconds from the request's first byte to the end of the answer. */
  readonly ms: number
  readonly status: number
  /** Of the body, as far as it was sent. */
  readonly bytes: number
  /** The answer ended before it was complete. */
  readonly isCut: boolean
  readonly subject: {
    /** Only for what is no registry request: `livez`, `readyz`, … */
    readonly route?: string
    readonly upstream?: string
    readonly repository?: string
    /** Tag or digest. */
    readonly reference?: string
    /** hit, joined, miss, revalidated, stale or denied. */
    readonly outcome?: string
    /** Why this outcome. */
    readonly detail?: string
    readonly error?: unknown
  }
}

type Level = 'trace' | 'info' | 'warn' | 'error'
type RequestLogger = Pick<Logger, Level | 'isLevelEnabled' | 'writeLine'>

/** Texts of one kind that are kept as they are printed: one per image, client or program that asks often. */
const MAX_KNOWN = 2_000
const MESSAGE = 'request answered'

/**
 * Writes each request's one line; fields that are `undefined` are left out of it. Under load it is most of
 * what is written, so a line without an error is put together here: what comes again and again is judged and
 * quoted once, and not with every line.
 */
export class RequestLog {
  readonly #logger: RequestLogger
  readonly #texts = new Memo<string>(MAX_KNOWN)
  readonly #clients = new Memo<string>(MAX_KNOWN)
  readonly #userAgents = new Memo<string>(MAX_KNOWN)
  #now = 0
  #time = ''

  constructor(logger: RequestLogger) {
    this.#logger = logger
  }

  add(entry: RequestLogEntry): void {
    const level = levelOf(entry)
    if (this.#logger.writeLine === undefined || entry.subject.error !== undefined) {
      this.#logger[level](toFields(entry), MESSAGE)
    } else if (this.#logger.isLevelEnabled(level)) {
      this.#logger.writeLine(this.#format(level, entry))
    }
  }

  #format(level: Level, entry: RequestLogEntry): string {
    const { route, upstream, repository, reference, outcome, detail } = entry.subject
    const { client, userAgent } = entry
    const ms = Math.round(entry.ms)
    return (
      `{"level":"${level}","time":"${this.#readTime()}"` +
      this.#text('method', entry.method) +
      this.#text('route', route) +
      this.#text('upstream', upstream) +
      this.#text('repository', repository) +
      this.#text('reference', reference) +
      this.#text('outcome', outcome) +
      `,"status":${entry.status},"bytes":${entry.bytes},"ms":${ms}` +
      (entry.isCut ? ',"isCut":true' : '') +
      this.#text('detail', detail) +
      (client !== undefined ? `,"client":${this.#clients.recall(client, quoteClient)}` : '') +
      (userAgent !== undefined
        ? `,"userAgent":${this.#userAgents.recall(userAgent, quoteUserAgent)}`
        : '') +
      `,"requestId":"${entry.id}","msg":"${MESSAGE}"}\n`
    )
  }

  #text(name: string, value: string | undefined): string {
    return value === undefined ? '' : `,"${name}":${this.#texts.recall(value, quote)}`
  }

  /** Many lines are of one millisecond. */
  #readTime(): string {
    const now = Date.now()
    if (now !== this.#now) {
      this.#now = now
      this.#time = new Date(now).toISOString()
    }
    return this.#time
  }
}

function toFields(entry: RequestLogEntry): object {
  const { id, method, client, userAgent, ms, status, bytes, isCut, subject } = entry
  const { route, upstream, repository, reference, outcome, detail, error } = subject
  return {
    method,
    route,
    upstream,
    repository,
    reference,
    outcome,
    status,
    bytes,
    ms: Math.round(ms),
    isCut: isCut || undefined,
    detail,
    client: client && readableAddress(client),
    userAgent: userAgent && printable(userAgent, MAX_USER_AGENT),
    requestId: id,
    error,
  }
}

/** 500 is a fault of ours, any other 5xx one of an upstream or a disk; a client's 4xx is its own affair. */
function levelOf({ status, subject }: RequestLogEntry): Level {
  if (status === 500) return 'error'
  if (status > 500) return 'warn'
  return PROBES.has(subject.route ?? '') ? 'trace' : 'info'
}

function quote(text: string): string {
  return JSON.stringify(redactText(text))
}

function quoteClient(address: string): string {
  return quote(readableAddress(address))
}

function quoteUserAgent(userAgent: string): string {
  return quote(printable(userAgent, MAX_USER_AGENT))
}

/** A listener on `::` reports IPv4 clients as `::ffff:192.0.2.1`. */
function readableAddress(address: string): string {
  return printable(address.replace(/^::ffff:(?=[\d.]+$)/, ''), MAX_CLIENT)
}
