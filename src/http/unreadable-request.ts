import type { Duplex } from 'node:stream'
import { ERROR_CODES } from '../oci/registry-error.ts'

/** Why Node gave a connection up before there was a request: the status and what to say. */
const REASONS: Readonly<Record<string, readonly [status: string, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'the request has too many header bytes',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time'],
}
const MALFORMED = [
  '400 Bad Request',
  'the request is not HTTP/1.1 as this server reads it',
] as const

/**
 * Answers what cannot be read as a request in the form of the specification, and closes. Behind a request
 * that is being answered it only closes: the refusal would end up among the bytes of that answer.
 */
export function refuseUnreadable(error: Error, socket: Duplex, isAnswering: boolean): void {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ECONNRESET' || !socket.writable || isAnswering) {
    socket.destroy()
    return
  }
  const [status, detail] = REASONS[code] ?? MALFORMED
  socket.end(rawAnswer(status, detail))
}

/** CONNECT asks for a tunnel, and this is no proxy for that. */
export function refuseTunnel(_: unknown, socket: Duplex): void {
  socket.end(
    rawAnswer('405 Method Not Allowed', 'this mirror opens no tunnels', 'Allow: GET, HEAD\r\n'),
  )
}

function rawAnswer(status: string, detail: string, fields = ''): string {
  const { message } = ERROR_CODES.UNSUPPORTED
  const body = JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message, detail }] })
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`
  return `${head}${fields}Connection: close\r\n\r\n${body}`
}
