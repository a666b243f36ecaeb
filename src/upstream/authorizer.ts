import { isDeepStrictEqual } from 'node:util'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { RepositoryName } from '../oci/reference.ts'
import { basicHeader } from './basic-header.ts'
import { parseChallenges, pickChallenge } from './challenge.ts'
import type { CredentialSource } from './credential-source.ts'
import { describeUrl } from './describe-url.ts'
import type { Credentials, RegistryOptions } from './options.ts'
import { judgeRealm } from './realm-rule.ts'
import type { TokenRequest, Tokens } from './tokens.ts'

export interface Authorization {
  readonly header: string
  /** A token server made it for us and makes another at any time; else it is the credentials themselves. */
  readonly isIssued: boolean
  /** Who asks: a user name, or that it is a token; `undefined` for anonymous. No secret. */
  readonly account: string | undefined
  /** The registry refused it: forgets it, so that `current` gives another if there is another. */
  readonly drop: () => void
}

/** How the registry wants to be asked, as far as it holds for all its repositories. */
type Scheme =
  | { readonly kind: 'basic' }
  | {
      readonly kind: 'bearer'
      readonly realm: string
      readonly service: string | undefined
      /** Such as `aws`, which public.ecr.aws asks for whatever the repository. */
      readonly scopes: readonly string[]
    }

const MAX_ODD_REPOSITORIES = 1_000

/**
 * Decides what a request to one endpoint carries. Remembers the endpoint's last challenge, so that only
 * its first request is refused before there is a token.
 */
export class Authorizer {
  readonly #endpoint: URL
  readonly #options: RegistryOptions
  readonly #tokens: Tokens
  readonly #credentials: CredentialSource | undefined
  #scheme: Scheme | undefined
  /** Repositories that the registry calls by another name than ours, as one behind a path does. */
  readonly #oddScopes = new Map<RepositoryName, readonly string[]>()

  constructor(
    endpoint: URL,
    options: RegistryOptions,
    tokens: Tokens,
    credentials: CredentialSource | undefined,
  ) {
    this.#endpoint = endpoint
    this.#options = options
    this.#tokens = tokens
    this.#credentials = credentials
  }

  /**
   * `undefined` where all that we know is to ask anonymously. Credentials that the token server refuses
   * are asked for once more: they may have been rotated since.
   */
  async current(
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const credentials = await this.#readCredentials(signal)
    try {
      return await this.#authorize(credentials, repository, signal)
    } catch (failure) {
      const isRefused = failure instanceof UpstreamFailure && failure.kind === 'denied'
      if (!isRefused || credentials === undefined) throw failure
      this.#credentials?.refused(credentials)
      const others = await this.#readCredentials(signal)
      if (isDeepStrictEqual(others, credentials)) throw failure
      return this.#authorize(others, repository, signal)
    }
  }

  async #authorize(
    credentials: Credentials | undefined,
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    if (credentials !== undefined && 'token' in credentials) {
      return this.#asTheyAre(`Bearer ${credentials.token}`, credentials)
    }
    const scheme = this.#scheme
    if (scheme === undefined) return undefined
    if (scheme.kind === 'basic') {
      return credentials && this.#asTheyAre(this.#basic(credentials), credentials)
    }
    const request: TokenRequest = {
      realm: this.#realm(scheme.realm, credentials !== undefined),
      service: scheme.service,
      scopes: this.#scopes(scheme.scopes, repository),
      login: credentials,
    }
    const token = await this.#tokens.get(request, signal)
    const drop = () => this.#tokens.drop(request, token)
    return { header: `Bearer ${token}`, isIssued: true, account: accountOf(credentials), drop }
  }

  #asTheyAre(header: string, credentials: Credentials): Authorization {
    const drop = () => this.#credentials?.refused(credentials)
    return { header, isIssued: false, account: accountOf(credentials), drop }
  }

  #basic(login: Exclude<Credentials, { readonly token: string }>): string {
    if ('username' in login) return basicHeader(login)
    throw new UpstreamFailure(
      'denied',
      `${this.#options.name}: ${describeUrl(this.#endpoint)} wants a user name and a password, and the ` +
        'configured credentials are an identity token, which only a token server takes',
    )
  }

  /** Takes note of a 401's challenge, for the requests from now on. */
  learn(lines: readonly string[], repository: RepositoryName): void {
    const challenge = pickChallenge(parseChallenges(lines))
    if (challenge?.scheme !== 'bearer') {
      this.#scheme = challenge && { kind: 'basic' }
      return
    }
    const told = (challenge.parameters.get('scope') ?? '')
      .split(' ')
      .filter((scope) => scope !== '')
    this.#scheme = {
      kind: 'bearer',
      realm: challenge.parameters.get('realm') ?? '',
      service: challenge.parameters.get('service'),
      scopes: told.filter((scope) => !scope.startsWith('repository:')),
    }
    this.#noteOddScopes(told, repository)
  }

  #noteOddScopes(told: readonly string[], repository: RepositoryName): void {
    const odd = told.filter(
      (scope) => scope.startsWith('repository:') && scope !== pull(repository),
    )
    this.#oddScopes.delete(repository)
    if (odd.length === 0) return
    const [oldest] = this.#oddScopes.keys()
    if (this.#oddScopes.size >= MAX_ODD_REPOSITORIES && oldest !== undefined) {
      this.#oddScopes.delete(oldest)
    }
    this.#oddScopes.set(repository, odd)
  }

  #scopes(general: readonly string[], repository: RepositoryName): readonly string[] {
    const odd = this.#oddScopes.get(repository) ?? []
    return [...new Set([...general, ...odd, pull(repository)])]
  }

  #realm(text: string, isLoggedIn: boolean): URL {
    const { name, tokenRealms } = this.#options
    const verdict = judgeRealm(text, this.#endpoint, tokenRealms)
    const where = describeUrl(this.#endpoint)
    if ('refusal' in verdict) {
      throw new UpstreamFailure(
        'misbehaved',
        `${name}: the challenge of ${where} ${verdict.refusal}`,
      )
    }
    if (isLoggedIn && !verdict.mayHaveCredentials) {
      const { host } = verdict.realm
      throw new UpstreamFailure(
        'misbehaved',
        `${name}: ${where} wants the credentials sent to ${host}, another site; ` +
          `if that is its token server, list '${host}' in \`tokenRealms\``,
      )
    }
    return verdict.realm
  }

  async #readCredentials(signal: AbortSignal): Promise<Credentials | undefined> {
    try {
      return await this.#credentials?.get(signal)
    } catch (cause) {
      signal.throwIfAborted()
      throw new UpstreamFailure(
        'unavailable',
        `${this.#options.name}: the configured credentials cannot be read; see the log`,
        { cause },
      )
    }
  }
}

function accountOf(credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined) return undefined
  return 'username' in credentials ? credentials.username : 'a token'
}

function pull(repository: RepositoryName): string {
  return `repository:${repository}:pull`
}
