import type { HeaderFields } from './answer-headers.ts'
import type { Exchange } from './exchange.ts'

/** Sends an answer whose body, if any, is in memory. To a HEAD, without it. */
export function respond(
  exchange: Exchange,
  status: number,
  headers: HeaderFields,
  body?: Uint8Array | string,
): void {
  const { incoming, outgoing } = exchange
  outgoing.writeHead(status, headers)
  if (body === undefined || incoming.method === 'HEAD') {
    outgoing.end()
    return
  }
  outgoing.end(body)
  exchange.bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
}
