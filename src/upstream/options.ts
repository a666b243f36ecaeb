import type { LookupFunction } from 'node:net'
import type { Clock } from '../core/ports.ts'
import type { UpstreamEvent } from '../core/upstream-state.ts'
import type { UpstreamName } from '../oci/reference.ts'
import type { Proxies } from './proxies.ts'
import type { RateLimit } from './rate-limit.ts'

/**
 * `token` is a bearer token that the registry takes as it is, without a token server; `identityToken` is
 * for the token server alone, in place of a password (Azure's registries).
 */
export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }
  | { readonly identityToken: string }

/** The program `docker-credential-<helper>` knows the credentials of `server`. */
export interface CredentialHelper {
  /** Letters, digits, `.`, `_` and `-`. */
  readonly helper: string
  readonly server: string
}

/** One registry, as the operator describes it. */
export interface RegistryOptions {
  readonly name: UpstreamName
  /** In order, at least one. A path is put before `/v2`. */
  readonly endpoints: readonly URL[]
  /** Called for each use, so that a rotated secret is picked up without a restart. */
  readonly credentials?: () => Promise<Credentials | CredentialHelper>
  /** PEM text, in addition to the roots that Node trusts. */
  readonly ca?: string
  /** Skips TLS verification, on the endpoints' own hosts and nowhere else. */
  readonly insecure: boolean
  /** `host` (the scheme's own port) or `host:port` of token servers that may get the credentials. */
  readonly tokenRealms: readonly string[]
  /** `host` or `host:port` of redirect targets that may have addresses that are not public. */
  readonly redirectHosts: readonly string[]
  /** Simultaneous requests to the upstream; 256 more wait. */
  readonly connections: number
  readonly rateLimit: {
    /** Pulls: below this, what is left is for content that is not here yet. 0: all of it is for anything. */
    readonly reserve: number
  }
  /** Default: none, whatever the environment says. */
  readonly proxies?: Proxies
}

/** What went over the wire, for debug logs: no URL, because its query may be a credential. */
export interface UpstreamRequestEvent {
  readonly upstream: UpstreamName
  /** `host` or `host:port` that was asked: the registry, its token server or where it redirects to. */
  readonly host: string
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly kind: RequestKind
  /** `undefined` if there was no answer. */
  readonly status: number | undefined
  /** Until the answer's headers, in milliseconds. */
  readonly ms: number
  /** What the answer said of it, if anything. */
  readonly rateLimit?: RateLimit
}

export type RequestKind = 'manifest' | 'blob' | 'list' | 'token'

/** Milliseconds. */
export interface Timeouts {
  readonly connect: number
  /** From the request to the answer's headers. */
  readonly headers: number
  /** Between two pieces of a body. */
  readonly body: number
}

export const TIMEOUTS: Timeouts = { connect: 5_000, headers: 10_000, body: 30_000 }

export interface UpstreamDeps {
  readonly clock: Clock
  readonly onRequest?: (event: UpstreamRequestEvent) => void
  readonly onEvent?: (event: UpstreamEvent) => void
  /** Instead of the system's resolver. */
  readonly lookup?: LookupFunction
  readonly timeouts?: Timeouts
}
