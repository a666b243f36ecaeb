import type { Reply } from './reply.ts'
import { parseRetryAfter } from './retry-after.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'

/**
 * What a status means that is no answer to the question. `refused` says whom 401 and 403 refuse; `now`
 * in ms.
 */
export function statusFailure(reply: Reply, now: number, refused = 'refused'): UpstreamFailure {
  const { status, what } = reply
  const told = parseRetryAfter(reply.header('retry-after'), now)
  const retryAfter = told === undefined ? {} : { retryAfter: told }
  if (status === 401 || status === 403) {
    return new UpstreamFailure('denied', `${what}: answered ${status}, ${refused}`)
  }
  if (status === 429) {
    return new UpstreamFailure(
      'rate-limited',
      `${what}: answered 429, too many requests`,
      retryAfter,
    )
  }
  const isTheirFault = status >= 500 || status === 408
  return new UpstreamFailure(
    isTheirFault ? 'unavailable' : 'misbehaved',
    `${what}: answered ${status}`,
    isTheirFault ? retryAfter : {},
  )
}
