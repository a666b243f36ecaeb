import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'
import type { RepositoryName } from '../oci/reference.ts'
import type { Authorization, Authorizer } from './authorizer.ts'
import { asksForToken } from './challenge.ts'
import type { Verdict } from './circuit.ts'
import { verdictOf } from './circuit.ts'
import type { EndpointHealth } from './endpoint-health.ts'
import { isRedirect, judgeRedirect, keepsAuthorization } from './redirect-rule.ts'
import type { Reply } from './reply.ts'
import { statusFailure } from './status-failure.ts'
import type { Transport } from './transport.ts'
import { misbehaved } from './unexpected-answer.ts'

export interface RegistryRequest {
  readonly kind: 'manifest' | 'blob' | 'list'
  readonly method: 'GET' | 'HEAD'
  readonly repository: RepositoryName
  /** Below the repository: `manifests/1`, `blobs/sha256:…` or `tags/list?n=100`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** A redirect to another origin is the answer, and is not followed. */
  readonly staysHome?: boolean
  /** More of an answer that has begun: the circuit has let it through already. */
  readonly isRest?: boolean
}

export interface Answer {
  readonly reply: Reply
  /** Whether the endpoint itself answered, and not a host that it redirected us to. */
  readonly isOwn: boolean
}

/** Tells the endpoint's circuit how a request went. */
type Settle = (verdict: Verdict) => void

const MAX_HOPS = 5
const WEB_PAGE = 'answered with an HTML page'

/** Asks one endpoint of a registry: with a token if it wants one, and wherever it redirects to. */
export class RegistryClient {
  readonly clock: Clock
  readonly #endpoint: URL
  readonly #transport: Transport
  readonly #authorizer: Authorizer
  readonly #health: EndpointHealth

  constructor(
    endpoint: URL,
    transport: Transport,
    authorizer: Authorizer,
    health: EndpointHealth,
    clock: Clock,
  ) {
    this.clock = clock
    this.#endpoint = endpoint
    this.#transport = transport
    this.#authorizer = authorizer
    this.#health = health
  }

  /**
   * Any answer but 408, 429 and 5xx, which are thrown as UpstreamFailure; so is everything that goes
   * wrong on the way.
   *
   * A refused token is replaced once (clocks differ between a registry's nodes, and keys change), and so
   * is a refused password, if it has been rotated: the same one is never sent again. A registry that
   * answers an expired token with a challenge for Basic is asked without any, because then it says Bearer
   * again (Harbor).
   */
  async ask(request: RegistryRequest, signal: AbortSignal): Promise<Answer> {
    const settle = once(
      request.isRest === true ? () => {} : this.#health.circuit.enter(request.kind),
    )
    try {
      const answer = await this.#ask(request, settle, signal)
      settle(isPage(request, answer) ? misbehaved(answer.reply, WEB_PAGE) : 'answered')
      return answer
    } catch (reason) {
      settle(verdictOf(reason))
      throw reason
    }
  }

  async #ask(request: RegistryRequest, settle: Settle, signal: AbortSignal): Promise<Answer> {
    let authorization = await this.#authorize(request, () => settle(undefined), signal)
    for (let refusals = 0; ;) {
      const answer = await this.#follow(request, authorization, settle, signal)
      const { reply, isOwn } = answer
      // Another host's challenge is not ours to answer: it would be asking for this registry's secrets.
      if (reply.status !== 401 || !isOwn) return answer
      await reply.discard()
      const refused: Authorization | undefined = authorization
      refused?.drop()
      if (refused !== undefined) refusals += 1
      if (refusals === 2) return answer
      const lines = reply.lines('www-authenticate')
      authorization = undefined
      if (refused?.isIssued === true && !asksForToken(lines)) continue
      this.#authorizer.learn(lines, request.repository)
      authorization = await this.#authorize(request, () => settle('answered'), signal)
      if (authorization === undefined || authorization.header === refused?.header) return answer
    }
  }

  /** A token server that fails is no fault of the endpoint's, which serves those who have a token. */
  async #authorize(
    { repository }: RegistryRequest,
    onFailed: () => void,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    try {
      return await this.#authorizer.current(repository, signal)
    } catch (reason) {
      onFailed()
      throw reason
    }
  }

  async #follow(
    request: RegistryRequest,
    authorization: Authorization | undefined,
    settle: Settle,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { kind, method } = request
    let header = authorization?.header
    let url = this.#urlOf(request)
    let isOwn = true
    for (let hop = 0; ; hop += 1) {
      const headers = { ...request.headers, ...(header !== undefined && { authorization: header }) }
      const reply = await this.#transport.send({ kind, method, url, headers }, signal)
      if (isOwn) this.#health.rate.note(reply, authorization?.account)
      await this.#refuseFailing(reply)
      if (!isRedirect(reply.status)) return { reply, isOwn }
      await reply.discard()
      if (hop === MAX_HOPS) {
        throw new UpstreamFailure(
          'misbehaved',
          `${reply.what}: redirected more than ${MAX_HOPS} times`,
        )
      }
      const verdict = judgeRedirect(url, reply.header('location'))
      if ('refusal' in verdict) {
        throw new UpstreamFailure('misbehaved', `${reply.what}: ${verdict.refusal}`)
      }
      if (request.staysHome === true && verdict.url.origin !== url.origin) return { reply, isOwn }
      // Once dropped it stays dropped, also where a chain leads back.
      if (!keepsAuthorization(url, verdict.url)) {
        header = undefined
        isOwn = false
        // It has answered; the host that has the bytes may be broken, or one object there.
        settle('answered')
      }
      url = verdict.url
    }
  }

  async #refuseFailing(reply: Reply): Promise<void> {
    if (reply.status < 500 && reply.status !== 429 && reply.status !== 408) return
    await reply.discard()
    throw statusFailure(reply, this.clock.now())
  }

  #urlOf({ repository, path }: RegistryRequest): URL {
    const prefix = this.#endpoint.pathname.replace(/\/+$/, '')
    return new URL(`${this.#endpoint.origin}${prefix}/v2/${repository}/${path}`)
  }
}

/** A captive portal or a gallery instead of the registry. Lists that it does not have may be a page. */
function isPage({ kind, method }: RegistryRequest, { reply, isOwn }: Answer): boolean {
  if (!isOwn || kind === 'list' || reply.mediaType !== 'text/html') return false
  // What a HEAD says of a body that nobody sees is often wrong; a GET follows that tells.
  return reply.status === 200 || (reply.status === 404 && method === 'GET')
}

/** What comes first counts: what another host does after that says nothing about the endpoint. */
function once(settle: Settle): Settle {
  let isSettled = false
  return (verdict) => {
    if (!isSettled) settle(verdict)
    isSettled = true
  }
}
