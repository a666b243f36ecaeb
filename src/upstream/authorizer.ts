import { UpstreamFailure } from '../core/ports.ts'
import type { RepositoryName } from '../oci/reference.ts'
import { basicHeader } from './basic-header.ts'
import { parseChallenges, pickChallenge } from './challenge.ts'
import { describeUrl } from './describe-url.ts'
import type { Credentials, RegistryOptions } from './options.ts'
import { judgeRealm } from './realm-rule.ts'
import type { TokenRequest, Tokens } from './tokens.ts'

export interface Authorization {
  readonly header: string
  /** Only for tokens that can be replaced: forgets this one. */
  readonly drop?: () => void
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
  #scheme: Scheme | undefined
  /** Repositories that the registry calls by another name than ours, as one behind a path does. */
  readonly #oddScopes = new Map<RepositoryName, readonly string[]>()

  constructor(endpoint: URL, options: RegistryOptions, tokens: Tokens) {
    this.#endpoint = endpoint
    this.#options = options
    this.#tokens = tokens
  }

  /** `undefined` where all that we know is to ask anonymously. */
  async current(
    repository: RepositoryName,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const credentials = await this.#readCredentials()
    if (credentials !== undefined && 'token' in credentials) {
      return { header: `Bearer ${credentials.token}` }
    }
    const scheme = this.#scheme
    if (scheme?.kind === 'basic') return credentials && { header: basicHeader(credentials) }
    if (scheme === undefined) return undefined
    const request: TokenRequest = {
      realm: this.#realm(scheme.realm, credentials !== undefined),
      service: scheme.service,
      scopes: this.#scopes(scheme.scopes, repository),
      login: credentials,
    }
    const token = await this.#tokens.get(request, signal)
    return { header: `Bearer ${token}`, drop: () => this.#tokens.drop(request, token) }
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

  async #readCredentials(): Promise<Credentials | undefined> {
    try {
      return await this.#options.credentials?.()
    } catch (cause) {
      throw new UpstreamFailure(
        'unavailable',
        `${this.#options.name}: the configured credentials cannot be read; see the log`,
        { cause },
      )
    }
  }
}

function pull(repository: RepositoryName): string {
  return `repository:${repository}:pull`
}
