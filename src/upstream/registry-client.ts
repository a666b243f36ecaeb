import type { Clock } from '../core/ports.ts'
import { UpstreamFailure } from '../core/ports.ts'
import type { RepositoryName } from '../oci/reference.ts'
import type { Authorization, Authorizer } from './authorizer.ts'
import { asksForToken } from './challenge.ts'
import { isRedirect, judgeRedirect, keepsAuthorization } from './redirect-rule.ts'
import type { Reply } from './reply.ts'
import { statusFailure } from './status-failure.ts'
import type { Call, Transport } from './transport.ts'

export interface RegistryRequest {
  readonly kind: 'manifest' | 'blob' | 'list'
  readonly method: 'GET' | 'HEAD'
  readonly repository: RepositoryName
  /** Below the repository: `manifests/1`, `blobs/sha256:…` or `tags/list?n=100`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** A redirect to another origin is the answer, and is not followed. */
  readonly staysHome?: boolean
}

export interface Answer {
  readonly reply: Reply
  /** Whether the endpoint itself answered, and not a host that it redirected us to. */
  readonly isOwn: boolean
}

const MAX_HOPS = 5

/** Asks one endpoint of a registry: with a token if it wants one, and wherever it redirects to. */
export class RegistryClient {
  readonly clock: Clock
  readonly #endpoint: URL
  readonly #transport: Transport
  readonly #authorizer: Authorizer

  constructor(endpoint: URL, transport: Transport, authorizer: Authorizer, clock: Clock) {
    this.clock = clock
    this.#endpoint = endpoint
    this.#transport = transport
    this.#authorizer = authorizer
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
    let authorization = await this.#authorizer.current(request.repository, signal)
    for (let refusals = 0; ;) {
      const answer = await this.#follow(request, authorization, signal)
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
      authorization = await this.#authorizer.current(request.repository, signal)
      if (authorization === undefined || authorization.header === refused?.header) return answer
    }
  }

  async #follow(
    request: RegistryRequest,
    authorization: Authorization | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { kind, method } = request
    let header = authorization?.header
    let url = this.#urlOf(request)
    let isOwn = true
    for (let hop = 0; ; hop += 1) {
      const headers = { ...request.headers, ...(header !== undefined && { authorization: header }) }
      const reply = await this.#send({ kind, method, url, headers }, signal)
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
      }
      url = verdict.url
    }
  }

  async #send(call: Call, signal: AbortSignal): Promise<Reply> {
    const reply = await this.#transport.send(call, signal)
    if (reply.status < 500 && reply.status !== 429 && reply.status !== 408) return reply
    await reply.discard()
    throw statusFailure(reply, this.clock.now())
  }

  #urlOf({ repository, path }: RegistryRequest): URL {
    const prefix = this.#endpoint.pathname.replace(/\/+$/, '')
    return new URL(`${this.#endpoint.origin}${prefix}/v2/${repository}/${path}`)
  }
}
