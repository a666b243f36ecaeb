import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { HeaderFields } from './answer-headers.ts'
import type { Exchange } from './exchange.ts'

/**
 * Sends an answer whose body, if any, is in memory. A GET's goes straight to the response: through a
 * `Response` of the fetch standard every body becomes a stream, at half the requests per second. A
 * HEAD's goes through the router, which answers HEAD by the GET's handler and would send twice.
 */
export function send(
  exchange: Exchange,
  status: number,
  headers: HeaderFields,
  body?: Uint8Array | string,
): Response {
  const { incoming, outgoing } = exchange
  if (incoming.method === 'HEAD') return new Response(null, { status, headers })
  outgoing.writeHead(status, headers)
  outgoing.end(body)
  exchange.bytes = body === undefined ? 0 : Buffer.byteLength(body)
  return RESPONSE_ALREADY_SENT
}
