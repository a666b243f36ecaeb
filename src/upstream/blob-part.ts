import { parseContentLength, parseContentRange } from './content-range.ts'
import type { RegistryRequest } from './registry-client.ts'
import type { Reply } from './reply.ts'
import { misbehaved } from './unexpected-answer.ts'

/** One connection's share of a blob. */
export interface BlobPart {
  readonly reply: Reply
  /** Bytes at its beginning that have been read before. */
  readonly skip: number
  /** Bytes of the whole blob, if anyone has said. */
  readonly size: number | undefined
}

/** An answer that begins at the first byte, a 200. */
function wholeBlob(reply: Reply): BlobPart {
  refuseHtml(reply)
  return { reply, skip: 0, size: parseContentLength(reply.header('content-length')) }
}

/** Closed where possible: there are registries that answer an open end with 416. */
export function fromByte(
  request: RegistryRequest,
  position: number,
  size: number | undefined,
): RegistryRequest {
  const range = `bytes=${position}-${size === undefined ? '' : size - 1}`
  return { ...request, headers: { ...request.headers, range } }
}

/**
 * The answer, 200 or 206, to a request for the rest from `position` on. Bytes are only ever put where
 * the answer says that they belong; `size` is what earlier answers said.
 */
export function restOfBlob(reply: Reply, position: number, size: number | undefined): BlobPart {
  const part = reply.status === 206 ? rangePart(reply, position) : wholeBlob(reply)
  if (size !== undefined && part.size !== undefined && part.size !== size) {
    reply.drop()
    throw misbehaved(reply, `said that the blob has ${size} bytes, and now ${part.size}`)
  }
  // A 200 starts again from the first byte.
  const skip = reply.status === 206 ? 0 : position
  return { reply, skip, size: size ?? part.size }
}

function rangePart(reply: Reply, position: number): BlobPart {
  const range = parseContentRange(reply.header('content-range'))
  if (range?.start === position) return { reply, skip: 0, size: range.total }
  reply.drop()
  throw misbehaved(reply, 'answered 206 with another range than the one asked for')
}

/** Web galleries and captive portals answer any path with 200 and a page. */
export function refuseHtml(reply: Reply): void {
  if (reply.mediaType !== 'text/html') return
  reply.drop()
  throw misbehaved(reply, 'answered with an HTML page')
}
