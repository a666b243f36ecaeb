import { RegistryError } from '../oci/registry-error.ts'
import { DigestMismatch, NoSpace } from './ports.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** What a request was for. */
export type Wanted = 'manifest' | 'blob' | 'tags' | 'referrers'

/** Seconds: what we ask clients to wait when upstream did not say. */
const DEFAULT_RETRY_AFTER = 5
/** For what is not here where nobody may be asked. */
const MISSING = {
  manifest: 'MANIFEST_UNKNOWN',
  blob: 'BLOB_UNKNOWN',
  tags: 'NAME_UNKNOWN',
  referrers: 'MANIFEST_UNKNOWN',
} as const

/**
 * What a client is told when upstream gave no answer and the cache has none. Never 429 (containerd
 * repeats it five times at once, podman sleeps on it) and never 401 (a client would answer our
 * challenge with credentials that are not for us): 503 makes both go on to their next host at once.
 */
export function toRegistryError(reason: unknown, what: Wanted): unknown {
  if (reason instanceof DigestMismatch) {
    return new RegistryError('UNKNOWN', reason.message, { status: 502, cause: reason })
  }
  if (reason instanceof NoSpace) {
    return new RegistryError('UNAVAILABLE', reason.message, { retryAfter: 30, cause: reason })
  }
  if (isOutOfDescriptors(reason)) {
    const message =
      'the mirror has as many files and connections open as it may: try again, or raise its limit (LimitNOFILE, ulimit -n)'
    return new RegistryError('UNAVAILABLE', message, {
      retryAfter: DEFAULT_RETRY_AFTER,
      cause: reason,
    })
  }
  if (!(reason instanceof UpstreamFailure)) return reason
  const retryAfter = reason.retryAfter ?? DEFAULT_RETRY_AFTER
  switch (reason.kind) {
    case 'denied':
      // podman falls back to the next mirror's blob only on 5xx and 404, and no registry said 404. A 4xx
      // for referrers is what clients take for "unsigned".
      return what === 'manifest' || what === 'tags'
        ? new RegistryError('DENIED', reason.message, { cause: reason })
        : new RegistryError('UNAVAILABLE', reason.message, { retryAfter, cause: reason })
    case 'misbehaved':
      return new RegistryError('UNKNOWN', reason.message, { status: 502, cause: reason })
    case 'timeout':
      return new RegistryError('UNAVAILABLE', reason.message, {
        status: 504,
        retryAfter,
        cause: reason,
      })
    case 'offline':
      return new RegistryError(MISSING[what], reason.message, { cause: reason })
    case 'rate-limited':
    case 'unavailable':
    case 'busy':
      return new RegistryError('UNAVAILABLE', reason.message, { retryAfter, cause: reason })
  }
}

/** Of this process or of the whole system. It passes as soon as somebody leaves. */
function isOutOfDescriptors(reason: unknown): boolean {
  const code = reason instanceof Error && 'code' in reason ? reason.code : undefined
  return code === 'EMFILE' || code === 'ENFILE'
}
