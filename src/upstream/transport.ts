import { readFileSync } from 'node:fs'
import type { Clock } from '../core/ports.ts'
import { abortable } from './abortable.ts'
import { describeUrl } from './describe-url.ts'
import type { RegistryOptions, RequestKind, UpstreamDeps } from './options.ts'
import type { RateLimit } from './rate-limit.ts'
import { readRateLimit } from './rate-limit.ts'
import { Reply } from './reply.ts'
import type { Head } from './reply-body.ts'
import { request } from './reply-body.ts'
import type { Route } from './routes.ts'
import { Routes } from './routes.ts'
import { transportFailure } from './transport-failure.ts'
import { proxyRefusal } from './proxy-failure.ts'

export interface Call {
  readonly kind: RequestKind
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * Sends single requests, to whatever host the name rules allowed. Its connections belong to one
 * upstream: an upstream that answers out of turn on a kept connection cannot reach another's requests.
 */
export class Transport {
  readonly #options: RegistryOptions
  readonly #clock: Clock
  readonly #onRequest: UpstreamDeps['onRequest']
  readonly #routes: Routes
  readonly #userAgent = `oci-mirror/${ownVersion()}`

  constructor(options: RegistryOptions, deps: UpstreamDeps) {
    this.#options = options
    this.#clock = deps.clock
    this.#onRequest = deps.onRequest
    this.#routes = new Routes(options, deps)
  }

  /** Any status is an answer. Throws UpstreamFailure if there is none, or the signal's reason. */
  async send(call: Call, signal: AbortSignal): Promise<Reply> {
    let what = `${call.method} ${describeUrl(call.url)}`
    const started = this.#clock.now()
    let status: number | undefined
    let rateLimit: RateLimit | undefined
    try {
      const route = this.#routes.to(call.url)
      if (route.proxy !== undefined) what += ` (through the proxy ${route.proxy})`
      const head = await abortable(this.#request(call, route, signal), signal)
      if (route.proxy !== undefined && head.status === 407) {
        head.body.drop()
        throw proxyRefusal(407)
      }
      const reply = new Reply(what, head, this.#clock, signal)
      status = reply.status
      rateLimit = readRateLimit(reply)
      return reply
    } catch (cause) {
      signal.throwIfAborted()
      throw transportFailure(what, cause)
    } finally {
      this.#onRequest?.({
        upstream: this.#options.name,
        host: call.url.host,
        method: call.method,
        kind: call.kind,
        status,
        ms: this.#clock.now() - started,
        ...(rateLimit && { rateLimit }),
      })
    }
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    await this.#routes.close()
  }

  #request(
    call: Call,
    { lanes, origin, path, headers }: Route,
    signal: AbortSignal,
  ): Promise<Head> {
    const agent = call.kind === 'blob' ? lanes.blobs : lanes.control
    const options = {
      origin,
      path,
      method: call.method,
      ...(call.body !== undefined && { body: call.body }),
      // undici would close the connection after each HEAD, which is what we send most, over TLS.
      reset: false,
      headers: {
        ...call.headers,
        ...headers,
        // A compressed body has another digest and no length that means anything.
        'accept-encoding': 'identity',
        'user-agent': this.#userAgent,
      },
    }
    return request(agent, options, lanes.reads, signal)
  }
}

function ownVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  return (manifest as { readonly version: string }).version
}
