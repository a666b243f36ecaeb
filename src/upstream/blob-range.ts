import type { BlobBody, UpstreamBlob } from '../core/upstream.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import { refuseHtml } from './blob-part.ts'
import { parseContentLength, parseContentRange } from './content-range.ts'
import type { Reply } from './reply.ts'
import { NotTaken } from './reply-body.ts'
import { transportFailure } from './transport-failure.ts'
import { misbehaved } from './unexpected-answer.ts'

/**
 * The answer, 200 or 206, to a request for one range. Nobody checks these bytes against a digest, so
 * that the answer has to say that they are exactly the ones that were asked for.
 */
export function rangeOfBlob(reply: Reply, range: ByteRange, signal: AbortSignal): UpstreamBlob {
  refuseHtml(reply)
  const length = range.end - range.start
  const told = parseContentRange(reply.header('content-range'))
  const isAsked = told?.start === range.start && told.end === range.end - 1
  const bytes = parseContentLength(reply.header('content-length')) ?? length
  const isEncoded = (reply.header('content-encoding') ?? 'identity') !== 'identity'
  if (reply.status === 206 && isAsked && bytes === length && !isEncoded) {
    return { size: told.total, body: bodyOfLength(reply, length, signal) }
  }
  reply.drop()
  throw misbehaved(reply, `answered ${reply.status} with something else than the range asked for`)
}

/** A body that is shorter or longer fails; what came before is what was asked for. */
function bodyOfLength(reply: Reply, length: number, signal: AbortSignal): BlobBody {
  let left = length
  return {
    async pump(take) {
      try {
        await reply.body.pump((bytes) => {
          left -= bytes.length
          if (left < 0) throw misbehaved(reply, 'sent more than the range asked for')
          return take(bytes)
        })
      } catch (cause) {
        if (cause instanceof NotTaken) throw cause.cause
        signal.throwIfAborted()
        throw transportFailure(reply.what, cause)
      } finally {
        reply.drop()
      }
      if (left > 0)
        throw new UpstreamFailure('unavailable', `${reply.what}: ended ${left} bytes too early`)
    },
  }
}
