import { errors } from 'undici'
import type { FailureKind } from '../core/upstream-failure.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import { ForbiddenAddress } from './connector.ts'
import { ProxyFailure } from './proxy-failure.ts'

/** What undici, the socket, the resolver and TLS report, by code, in words for a person. */
const REASONS: Readonly<Record<string, readonly [FailureKind, string]>> = {
  ECONNREFUSED: ['unavailable', 'connection refused'],
  ECONNRESET: ['unavailable', 'connection reset'],
  EPIPE: ['unavailable', 'connection closed'],
  EHOSTUNREACH: ['unavailable', 'host unreachable'],
  ENETUNREACH: ['unavailable', 'network unreachable'],
  ETIMEDOUT: ['unavailable', 'no connection in time'],
  UND_ERR_CONNECT_TIMEOUT: ['unavailable', 'no connection in time'],
  UND_ERR_SOCKET: ['unavailable', 'connection closed'],
  UND_ERR_CLOSED: ['unavailable', 'the mirror is shutting down'],
  UND_ERR_DESTROYED: ['unavailable', 'the mirror is shutting down'],
  ENOTFOUND: ['unavailable', 'host name not found'],
  EAI_AGAIN: ['unavailable', 'host name could not be resolved'],
  ERR_SSL_WRONG_VERSION_NUMBER: ['unavailable', 'it does not speak TLS'],
  UND_ERR_HEADERS_TIMEOUT: ['timeout', 'no answer in time'],
  UND_ERR_BODY_TIMEOUT: ['timeout', 'the answer stopped in the middle'],
  UND_ERR_HEADERS_OVERFLOW: ['misbehaved', 'answered with headers that are too large'],
  // One length of two that contradict each other; a body that ends early is a closed connection.
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['misbehaved', 'answered with a wrong Content-Length'],
}

const UNTRUSTED = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** `what` is the request, as `GET https://host/path`. */
export function transportFailure(what: string, cause: unknown): UpstreamFailure {
  if (cause instanceof UpstreamFailure) return cause
  if (cause instanceof ForbiddenAddress) {
    const advice = 'if it belongs to this registry, list the host in `redirectHosts`'
    return new UpstreamFailure('misbehaved', `${what}: ${cause.message}; ${advice}`, { cause })
  }
  if (cause instanceof ProxyFailure) {
    const code = codeOf(cause.cause)
    if (UNTRUSTED.has(code)) {
      const advice = 'name the file of its authority in NODE_EXTRA_CA_CERTS'
      const reason = `the certificate of the proxy is not trusted (${code}); ${advice}`
      return new UpstreamFailure('unavailable', `${what}: ${reason}`, { cause })
    }
    if (cause.cause !== undefined) return transportFailure(what, cause.cause)
    return new UpstreamFailure('unavailable', `${what}: ${cause.message}`, { cause })
  }
  const code = codeOf(cause)
  const [kind, reason] = REASONS[code] ?? guess(code, cause)
  return new UpstreamFailure(kind, `${what}: ${reason}`, { cause })
}

/** Nothing will mend it but another configuration. */
export function isFinal({ cause }: UpstreamFailure): boolean {
  return cause instanceof ProxyFailure && cause.isFinal
}

function guess(code: string, cause: unknown): readonly [FailureKind, string] {
  // Its code depends on which of undici's parsers met the bytes, and may be missing.
  if (cause instanceof errors.HTTPParserError) return ['misbehaved', 'answered with broken HTTP']
  if (UNTRUSTED.has(code)) {
    return ['unavailable', `its certificate is not trusted (${code}); set \`ca\` if it is your own`]
  }
  return ['unavailable', `connection failed${code === '' ? '' : ` (${code})`}`]
}

function codeOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' ? code : ''
}
