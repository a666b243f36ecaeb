import { ERROR_CODES, RegistryError } from '../oci/registry-error.ts'
import type { HeaderFields } from './answer-headers.ts'
import { commonHeaders } from './answer-headers.ts'
import type { Exchange } from './exchange.ts'
import { ClientLeft } from './exchange.ts'
import { RangeNotSatisfiable } from './range-header.ts'
import { respond } from './respond.ts'

/** A failure in the form of the distribution specification, ready to be sent. */
export interface ErrorAnswer {
  readonly status: number
  readonly headers: HeaderFields
  readonly body: string
}

/** An unexpected error says nothing of itself to the client: its text may hold anything. */
export function toErrorAnswer(reason: unknown, exchange: Exchange): ErrorAnswer {
  const error = reason instanceof RegistryError ? reason : unexpected(reason)
  const { message } = ERROR_CODES[error.code]
  const body = JSON.stringify({ errors: [{ code: error.code, message, detail: error.message }] })
  const headers: HeaderFields = {
    ...commonHeaders(exchange),
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  }
  if (error.retryAfter !== undefined) headers['retry-after'] = String(Math.ceil(error.retryAfter))
  if (error.status === 405) headers['allow'] = 'GET, HEAD'
  if (error instanceof RangeNotSatisfiable) headers['content-range'] = `bytes */${error.size}`
  return { status: error.status, headers, body }
}

/**
 * Answers before any router has seen the request. It closes the connection where the request was
 * malformed or has a body that nobody is going to read.
 */
export function refuse({ incoming, outgoing }: Exchange, answer: ErrorAnswer): void {
  const { headers, method } = incoming
  const hasBody =
    headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  const mustClose = hasBody || answer.status === 400
  outgoing.writeHead(answer.status, {
    ...answer.headers,
    ...(mustClose && { connection: 'close' }),
  })
  outgoing.end(method === 'HEAD' ? undefined : answer.body)
}

/** The same where something has gone wrong while it was answered: after the head, only the end can say so. */
export function fail(exchange: Exchange, reason: unknown): void {
  exchange.subject.error = reason
  if (exchange.outgoing.headersSent) {
    exchange.outgoing.destroy()
    return
  }
  const { status, headers, body } = toErrorAnswer(reason, exchange)
  respond(exchange, status, headers, body)
}

function unexpected(reason: unknown): RegistryError {
  if (reason instanceof ClientLeft)
    return new RegistryError('UNKNOWN', reason.message, { status: 499 })
  return new RegistryError(
    'UNKNOWN',
    'the mirror failed; its log has the reason under the request id',
  )
}
