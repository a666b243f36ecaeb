import { Coalescer } from '../core/coalescer.ts'
import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import { abortable } from './abortable.ts'
import { basicHeader } from './basic-header.ts'
import type { Circuit } from './circuit.ts'
import { verdictOf } from './circuit.ts'
import type { Credentials } from './options.ts'
import type { Reply } from './reply.ts'
import { statusFailure } from './status-failure.ts'
import type { Call, Transport } from './transport.ts'

export interface TokenRequest {
  readonly realm: URL
  /** nvcr.io names none. */
  readonly service: string | undefined
  readonly scopes: readonly string[]
  readonly login: Exclude<Credentials, { readonly token: string }> | undefined
}

interface Token {
  readonly value: string
  /** Milliseconds since the epoch. */
  readonly usableUntil: number
}

const MAX_BODY_BYTES = 64 * 1024
const READ_MS = 5_000
const MAX_TOKENS = 1_000

/** Seconds. The token specification's default is also the least that we believe. */
const SHORTEST_LIFE = 60
const LONGEST_LIFE = 3600
/** Replaced when 15 % of its life is left, because clocks and requests take their time. */
const USABLE_PART = 0.85

/**
 * distribution "Token Authentication Specification", by GET, which every registry understands (POST is
 * refused by several), except for identity tokens, which are for its POST form. Tokens live in memory
 * only, and only those of one endpoint.
 */
export class Tokens {
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #circuitOf: (host: string) => Circuit
  /** Before the token server that was asked last: a registry has one. */
  #guard: { readonly host: string; readonly circuit: Circuit } | undefined
  readonly #known = new Map<string, Token>()
  readonly #fetches = new Coalescer<Token>()

  constructor(transport: Transport, clock: Clock, circuitOf: (host: string) => Circuit) {
    this.#transport = transport
    this.#clock = clock
    this.#circuitOf = circuitOf
  }

  /** A token that can still be used; however many ask for the same one, it is fetched once. */
  async get(request: TokenRequest, signal: AbortSignal): Promise<string> {
    const key = keyOf(request)
    const known = this.#known.get(key)
    if (known !== undefined && this.#clock.now() < known.usableUntil) return known.value
    const { result } = this.#fetches.run(key, async () => {
      const token = await this.#fetch(request)
      this.#remember(key, token)
      return token
    })
    return (await abortable(result, signal)).value
  }

  /** The registry refused this token. One that another request has fetched since stays. */
  drop(request: TokenRequest, value: string): void {
    const key = keyOf(request)
    if (this.#known.get(key)?.value === value) this.#known.delete(key)
  }

  #remember(key: string, token: Token): void {
    this.#known.delete(key)
    const [oldest] = this.#known.keys()
    if (this.#known.size >= MAX_TOKENS && oldest !== undefined) this.#known.delete(oldest)
    this.#known.set(key, token)
  }

  /** A token server that is away is left alone like a registry; tokens that are here go on being used. */
  async #fetch(request: TokenRequest): Promise<Token> {
    const settle = this.#circuit(request.realm).enter('token')
    try {
      const token = await this.#ask(request)
      settle('answered')
      return token
    } catch (reason) {
      settle(verdictOf(reason))
      throw reason
    }
  }

  #circuit({ host }: URL): Circuit {
    if (this.#guard?.host !== host) this.#guard = { host, circuit: this.#circuitOf(host) }
    return this.#guard.circuit
  }

  /** Not bound to the signal of whoever asked first: others wait for it too. */
  async #ask(request: TokenRequest): Promise<Token> {
    const { login } = request
    const call =
      login !== undefined && 'identityToken' in login
        ? exchange(request, login.identityToken)
        : query(request, login)
    const asked = this.#clock.now()
    const reply = await this.#transport.send(call, new AbortController().signal)
    if (reply.status === 200) return readToken(reply, asked)
    await reply.discard()
    const whom = login === undefined ? 'anonymous access' : 'the credentials'
    throw statusFailure(reply, asked, `the token server refuses ${whom}`)
  }
}

function query(
  { realm, service, scopes }: TokenRequest,
  login: { readonly username: string; readonly password: string } | undefined,
): Call {
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const headers = {
    accept: 'application/json',
    ...(login && { authorization: basicHeader(login) }),
  }
  return { kind: 'token', method: 'GET', url, headers }
}

/** distribution "OAuth2 Token Authentication": the identity token is a refresh token (RFC 6749 §6). */
function exchange({ realm, service, scopes }: TokenRequest, identityToken: string): Call {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'oci-mirror',
    ...(service !== undefined && { service }),
    scope: scopes.join(' '),
    refresh_token: identityToken,
  })
  const headers = {
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
  }
  return { kind: 'token', method: 'POST', url: realm, headers, body: form.toString() }
}

async function readToken(reply: Reply, asked: number): Promise<Token> {
  const body = await reply.read(MAX_BODY_BYTES, READ_MS)
  const { token, access_token: accessToken, expires_in: expiresIn } = parseObject(body)
  const value = [token, accessToken].find((candidate) => {
    // It goes into a header: a line break in it would add one of the token server's own.
    return typeof candidate === 'string' && /^[\x21-\x7e]+$/.test(candidate)
  })
  if (typeof value !== 'string') {
    throw new UpstreamFailure('misbehaved', `${reply.what}: answered without a token`)
  }
  const seconds = typeof expiresIn === 'number' ? expiresIn : SHORTEST_LIFE
  const life = Math.min(LONGEST_LIFE, Math.max(SHORTEST_LIFE, seconds))
  return { value, usableUntil: asked + life * 1000 * USABLE_PART }
}

function parseObject(body: Uint8Array | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body ?? []).toString())
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    // Not JSON is as good as JSON without a token; the caller says so.
    return {}
  }
}

function keyOf({ realm, service, scopes, login }: TokenRequest): string {
  return JSON.stringify([realm.href, service, scopes, login])
}
