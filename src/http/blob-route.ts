import { ANONYMOUS } from '../core/access-policy.ts'
import type { BlobAnswer } from '../core/outcome.ts'
import type { RangeSpec } from '../oci/byte-range.ts'
import { WHOLE } from '../oci/byte-range.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import type { HeaderFields } from './answer-headers.ts'
import { commonHeaders, contentHeaders, hasAlready, isSameBytes } from './answer-headers.ts'
import { BodyWriter } from './body-writer.ts'
import type { Exchange } from './exchange.ts'
import { ClientLeft } from './exchange.ts'
import { multipartBody } from './multipart.ts'
import { parseRange, satisfiable } from './range-header.ts'
import { respond } from './respond.ts'
import type { RouteOptions } from './route-options.ts'
import type { WriteTurns } from './write-turns.ts'

/** Milliseconds that an answer's head waits for the first bytes of its body. */
const HEAD_WAITS_MS = 20
/** A blob's media type is its manifest's business, not the blob's. */
const BLOB_TYPE = 'application/octet-stream'

/** HEAD `<name>/blobs/<digest>`. */
export async function answerBlobHead(
  { mirror }: RouteOptions,
  exchange: Exchange,
  repository: Repository,
  digest: Digest,
): Promise<void> {
  const facts = await mirror.blobFacts(
    { repository, digest, ranges: undefined },
    ANONYMOUS,
    exchange.signal,
  )
  note(exchange, facts)
  const headers = blobHeaders(exchange, repository, digest, facts)
  if (facts.size !== undefined) headers['content-length'] = String(facts.size)
  respond(exchange, 200, headers)
}

/** GET `<name>/blobs/<digest>`, whole or in parts. */
export async function answerBlob(
  { mirror, turns }: RouteOptions,
  exchange: Exchange,
  repository: Repository,
  digest: Digest,
): Promise<void> {
  const ranges = wantedRanges(exchange, digest)
  const answer = await mirror.openBlob({ repository, digest, ranges }, ANONYMOUS, exchange.signal)
  note(exchange, answer)
  try {
    const headers = blobHeaders(exchange, repository, digest, answer)
    if (isHeld(exchange, digest)) respond(exchange, 304, headers)
    else if (ranges === undefined) await sendWhole(turns, exchange, answer, headers)
    else await sendParts(turns, exchange, answer, headers, ranges)
  } finally {
    await answer.blob.close()
  }
}

/** `undefined`: all of it is wanted. */
function wantedRanges(exchange: Exchange, digest: Digest): readonly RangeSpec[] | undefined {
  const { range, 'if-range': ifRange } = exchange.incoming.headers
  if (range === undefined || isHeld(exchange, digest)) return undefined
  // With If-Range for something else, the client wants all of what is here now.
  if (ifRange !== undefined && !isSameBytes(ifRange.toString(), digest)) return undefined
  return parseRange(range)
}

/** The client has the blob already. */
function isHeld({ incoming }: Exchange, digest: Digest): boolean {
  return hasAlready(incoming.headers['if-none-match'], digest)
}

async function sendWhole(
  turns: WriteTurns,
  exchange: Exchange,
  answer: BlobAnswer,
  headers: HeaderFields,
): Promise<void> {
  if (answer.size !== undefined) headers['content-length'] = String(answer.size)
  exchange.outgoing.writeHead(200, headers)
  await sendBody(turns, exchange, async (write) => {
    const range = answer.size === undefined ? WHOLE : { start: 0, end: answer.size }
    await answer.blob.pump(range, write, exchange.signal)
  })
}

async function sendParts(
  turns: WriteTurns,
  exchange: Exchange,
  answer: BlobAnswer,
  headers: HeaderFields,
  wanted: readonly RangeSpec[],
): Promise<void> {
  const { blob, size } = answer
  if (size === undefined)
    throw new Error('a part cannot be described without the size of the whole')
  const ranges = satisfiable(wanted, size)
  const [only] = ranges
  if (only !== undefined && ranges.length === 1) {
    headers['content-range'] = `bytes ${only.start}-${only.end - 1}/${size}`
    headers['content-length'] = String(only.end - only.start)
    exchange.outgoing.writeHead(206, headers)
    await sendBody(turns, exchange, (write) => blob.pump(only, write, exchange.signal))
    return
  }
  const body = multipartBody(ranges, size, BLOB_TYPE)
  headers['content-type'] = body.contentType
  headers['content-length'] = String(body.length)
  exchange.outgoing.writeHead(206, headers)
  await sendBody(turns, exchange, async (write) => {
    for (const part of body.parts) {
      await write(part.head)
      await blob.pump(part.range, write, exchange.signal)
    }
    await write(body.tail)
  })
}

/**
 * Bytes go straight into the response, past every stream adapter. Once the head has gone out the only
 * way to say "this went wrong" is a connection that ends early: with a FIN, after which containerd
 * resumes, and not an RST, after which it fails.
 */
async function sendBody(
  turns: WriteTurns,
  exchange: Exchange,
  body: (write: (chunk: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const { outgoing } = exchange
  const writer = new BodyWriter(exchange, turns)
  // The first bytes may be far away; containerd waits 30 s for a head. Otherwise both go in one packet.
  const late = setTimeout(() => outgoing.flushHeaders(), HEAD_WAITS_MS)
  try {
    await body((chunk) => {
      clearTimeout(late)
      return writer.write(chunk)
    })
    outgoing.end()
  } catch (reason) {
    const hasLeft = exchange.signal.aborted || reason instanceof ClientLeft
    if (!hasLeft) exchange.subject.error = reason
    if (exchange.bytes === 0) outgoing.flushHeaders()
    outgoing.destroy()
  } finally {
    clearTimeout(late)
    writer.close()
  }
}

function note(
  exchange: Exchange,
  { outcome, detail }: Pick<BlobAnswer, 'outcome' | 'detail'>,
): void {
  exchange.subject.outcome = outcome
  if (detail !== undefined) exchange.subject.detail = detail
}

function blobHeaders(
  exchange: Exchange,
  repository: Repository,
  digest: Digest,
  answer: Pick<BlobAnswer, 'outcome' | 'detail'>,
): HeaderFields {
  return {
    ...commonHeaders(exchange),
    ...contentHeaders(digest, repository.upstream, answer),
    'content-type': BLOB_TYPE,
    'accept-ranges': 'bytes',
  }
}
