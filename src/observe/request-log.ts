import type { Logger } from './logger.ts'
import { printable } from './printable.ts'

const MAX_USER_AGENT = 200
const MAX_CLIENT = 64
/** They ask every few seconds, and nobody wants to read that. */
const PROBES = new Set(['livez', 'readyz'])

/** One request, told when its answer is over. */
export interface RequestLogEntry {
  /** Sent to the client as `X-Request-Id`, so that a person can find this line. */
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

/** Writes the request's one line. Fields that are `undefined` are left out of it. */
export function logRequest(logger: Pick<Logger, Level>, entry: RequestLogEntry): void {
  const { id, method, client, userAgent, ms, status, bytes, isCut, subject } = entry
  const { route, upstream, repository, reference, outcome, detail, error } = subject
  const fields = {
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
  logger[levelOf(entry)](fields, 'request answered')
}

/** 500 is a fault of ours, any other 5xx one of an upstream or a disk; a client's 4xx is its own affair. */
function levelOf({ status, subject }: RequestLogEntry): Level {
  if (status === 500) return 'error'
  if (status > 500) return 'warn'
  return PROBES.has(subject.route ?? '') ? 'trace' : 'info'
}

/** A listener on `::` reports IPv4 clients as `::ffff:192.0.2.1`. */
function readableAddress(address: string): string {
  return printable(address.replace(/^::ffff:(?=[\d.]+$)/, ''), MAX_CLIENT)
}
