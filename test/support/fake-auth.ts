import { randomUUID } from 'node:crypto'
import type { RecordedRequest } from './recorded-request.ts'
import type { Answer } from './fake-answer.ts'
import { errorAnswer, jsonAnswer } from './fake-answer.ts'

/** User names and their passwords. */
type Users = Readonly<Record<string, string>>

export interface TokenAuthOptions {
  readonly kind: 'token'
  readonly users?: Users
  /** Whether a token request without credentials gets a token. Default: only if there are no users. */
  readonly anonymous?: boolean
  /** Who may pull what; `user` is undefined for anonymous. Default: whoever gets a token, everything. */
  readonly allow?: (user: string | undefined, repository: string) => boolean
  /** `false` leaves `service` out of the challenge, as nvcr.io does. Default 'fake'. */
  readonly service?: string | false
  /** The challenge's scope, where it is not the repository's. */
  readonly scope?: string
  /** Seconds. Default 300. */
  readonly expiresIn?: number
  /** `false` leaves `expires_in` out of the token response. Default true. */
  readonly tellsExpiry?: boolean
  /** Default 'token'. */
  readonly tokenField?: 'token' | 'access_token'
  /**
   * The token endpoint: on the registry's own port (the default), on a port of its own, or a URL that
   * the challenge names and where nothing of the fake answers.
   */
  readonly realm?: 'same-port' | 'own-port' | { readonly url: string }
  /** Default '/token'. */
  readonly realmPath?: string
}

interface BasicAuthOptions {
  readonly kind: 'basic'
  readonly users: Users
}

/** Raw `WWW-Authenticate` lines, for whatever a registry might say. */
interface CustomAuthOptions {
  readonly kind: 'custom'
  readonly challenges: readonly string[]
  /** Default: nothing is accepted. */
  readonly accepts?: (authorization: string) => boolean
}

export type AuthOptions = TokenAuthOptions | BasicAuthOptions | CustomAuthOptions

interface IssuedToken {
  readonly expiresAt: number
  readonly repositories: ReadonlySet<string>
}

type CheckedToken = 'valid' | 'invalid_token' | 'insufficient_scope'

/** Issues tokens for scopes, and checks them: time and repository. */
export class FakeAuth {
  readonly #options: AuthOptions
  readonly #now: () => number
  readonly #realm: () => string
  readonly #issued = new Map<string, IssuedToken>()

  constructor(options: AuthOptions, now: () => number, realm: () => string) {
    this.#options = options
    this.#now = now
    this.#realm = realm
  }

  /** What stops the request: a 401 with the challenge, or nothing. */
  refuse(request: RecordedRequest): Answer | undefined {
    const options = this.#options
    const authorization = request.headers['authorization']
    if (options.kind === 'basic') {
      return basicUser(authorization, options.users) === undefined
        ? this.challenge(request)
        : undefined
    }
    if (options.kind === 'custom') {
      const accepted = authorization !== undefined && options.accepts?.(authorization) === true
      return accepted ? undefined : this.challenge(request)
    }
    const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]
    if (token === undefined) return this.challenge(request)
    const verdict = this.#checkToken(token, request.repository)
    return verdict === 'valid' ? undefined : this.challenge(request, verdict)
  }

  challenge(request: RecordedRequest, error?: string): Answer {
    const answer = errorAnswer(401, 'UNAUTHORIZED')
    return {
      ...answer,
      headers: { ...answer.headers, 'www-authenticate': this.#challenges(request, error) },
    }
  }

  /** The token endpoint: https://distribution.github.io/distribution/spec/auth/token/ */
  answerTokenRequest(request: RecordedRequest): Answer {
    if (this.#options.kind !== 'token') return errorAnswer(404, 'UNSUPPORTED')
    const { users = {}, anonymous = this.#options.users === undefined } = this.#options
    const authorization = request.headers['authorization']
    const user = basicUser(authorization, users)
    const isRefused = authorization === undefined ? !anonymous : user === undefined
    return isRefused ? errorAnswer(401, 'UNAUTHORIZED') : this.#issue(request, user)
  }

  /** Every token issued so far is refused from now on, as after a change of the signing key. */
  revoke(): void {
    this.#issued.clear()
  }

  #issue(request: RecordedRequest, user: string | undefined): Answer {
    if (this.#options.kind !== 'token') throw new Error('only token auth issues tokens')
    const { expiresIn = 300, tellsExpiry = true, tokenField = 'token' } = this.#options
    const allow = this.#options.allow ?? (() => true)
    // Like Docker Hub: what the user may not have is left out, and the registry refuses later.
    const repositories = pullScopes(request).filter((name) => allow(user, name))
    const token = `fake-${randomUUID()}`
    const expiresAt = this.#now() + expiresIn * 1000
    this.#issued.set(token, { expiresAt, repositories: new Set(repositories) })
    return jsonAnswer(200, {
      [tokenField]: token,
      ...(tellsExpiry ? { expires_in: expiresIn } : {}),
    })
  }

  #checkToken(token: string, repository: string | undefined): CheckedToken {
    const issued = this.#issued.get(token)
    if (issued === undefined || issued.expiresAt <= this.#now()) return 'invalid_token'
    const covers = repository === undefined || issued.repositories.has(repository)
    return covers ? 'valid' : 'insufficient_scope'
  }

  #challenges({ repository }: RecordedRequest, error: string | undefined): readonly string[] {
    const options = this.#options
    if (options.kind === 'basic') return ['Basic realm="fake"']
    if (options.kind === 'custom') return options.challenges
    const { service = 'fake' } = options
    const scope =
      options.scope ?? (repository === undefined ? undefined : `repository:${repository}:pull`)
    const parameters = {
      realm: this.#realm(),
      ...(service === false ? {} : { service }),
      ...(scope === undefined ? {} : { scope }),
      ...(error === undefined ? {} : { error }),
    }
    const pairs = Object.entries(parameters).map(([name, value]) => `${name}="${value}"`)
    return [`Bearer ${pairs.join(',')}`]
  }
}

/** The repositories of scopes such as `repository:library/x:pull,push`. */
function pullScopes({ query }: RecordedRequest): string[] {
  const scopes = query.getAll('scope').flatMap((scope) => scope.split(' '))
  return scopes.flatMap((scope) => {
    const [, name, actions = ''] = /^repository:(.+):([a-z,*]+)$/.exec(scope) ?? []
    return name !== undefined && /\bpull\b|\*/.test(actions) ? [name] : []
  })
}

function basicUser(authorization: string | undefined, users: Users): string | undefined {
  const encoded = /^Basic (.+)$/i.exec(authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const [user = '', password] = Buffer.from(encoded, 'base64').toString().split(/:(.*)/s)
  return Object.hasOwn(users, user) && users[user] === password ? user : undefined
}
