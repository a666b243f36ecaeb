import type { Answer, Outcome } from '../core/outcome.ts'
import type { Digest } from '../oci/digest.ts'
import type { UpstreamName } from '../oci/reference.ts'

export type HeaderFields = Record<string, string>

const CACHE_NAME = 'oci-mirror'

/** The header fields that every registry answer has. */
export function commonHeaders({
  id,
  varies,
}: {
  readonly id: string
  readonly varies: boolean
}): HeaderFields {
  const fields: HeaderFields = {
    'docker-distribution-api-version': 'registry/2.0',
    'x-request-id': id,
  }
  if (varies) fields['vary'] = 'OCI-Namespace, OCI-Ref-Name'
  return fields
}

export function contentHeaders(
  digest: Digest,
  upstream: UpstreamName,
  answer: Answer,
): HeaderFields {
  return {
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    ...answerHeaders(upstream, answer),
  }
}

/** How the answer came about, for content and for lists alike. */
export function answerHeaders(upstream: UpstreamName, answer: Answer): HeaderFields {
  const fields: HeaderFields = {
    'cache-status': cacheStatus(answer),
    'oci-namespace': upstream,
  }
  // Its ETag is that of the right bytes: a cache in front of us could put wrong ones among those.
  if (answer.isStored === false) fields['cache-control'] = 'no-store'
  if (answer.age !== undefined) fields['age'] = String(Math.round(answer.age / 1000))
  if (answer.warning !== undefined)
    fields['warning'] = `299 - "${answer.warning.replaceAll(/["\\]/g, "'")}"`
  return fields
}

const PARAMETERS: Readonly<Record<Outcome, string>> = {
  hit: 'hit',
  joined: 'fwd=miss; collapsed',
  miss: 'fwd=miss',
  revalidated: 'hit; detail=revalidated',
  stale: 'fwd=stale',
}

/** RFC 9211: how the cache answered, in the terms of that specification. */
function cacheStatus({ outcome, isStored = true, detail }: Answer): string {
  const stored = outcome === 'miss' && isStored ? '; stored' : ''
  const because = detail === undefined ? '' : `; detail=${detail}`
  return `${CACHE_NAME}; ${PARAMETERS[outcome]}${stored}${because}`
}

/** `If-None-Match` compares weakly (RFC 9110 §13.1.2), because either tag means the same content. */
export function hasAlready(ifNoneMatch: string | undefined, digest: Digest): boolean {
  if (ifNoneMatch === undefined) return false
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim())
  return tags.some((tag) => tag === '*' || tag === `"${digest}"` || tag === `W/"${digest}"`)
}

/** `If-Range` compares strongly: a weak tag is no promise about bytes. */
export function isSameBytes(ifRange: string, digest: Digest): boolean {
  return ifRange.trim() === `"${digest}"`
}
