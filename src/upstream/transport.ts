import { readFileSync } from 'node:fs'
import type { Dispatcher } from 'undici'
import { Agent } from 'undici'
import type { Clock } from '../core/ports.ts'
import { abortable } from './abortable.ts'
import { guardedConnector } from './connector.ts'
import { describeUrl } from './describe-url.ts'
import type { RegistryOptions, RequestKind, UpstreamDeps } from './options.ts'
import { TIMEOUTS } from './options.ts'
import { Reply } from './reply.ts'
import { transportFailure } from './transport-failure.ts'

/** Milliseconds: shorter than the idle limits of the load balancers that registries stand behind. */
const IDLE_MS = 10_000
const LONGEST_IDLE_MS = 30_000

/** Bytes that wait for a blob's reader before the socket is paused. */
const BLOB_BUFFER = 256 * 1024

export interface Call {
  readonly kind: RequestKind
  readonly method: 'GET' | 'HEAD'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Sends single requests, to whatever host the name rules allowed. Its connections belong to one
 * upstream: an upstream that answers out of turn on a kept connection cannot reach another's requests.
 */
export class Transport {
  readonly #options: RegistryOptions
  readonly #clock: Clock
  readonly #onRequest: UpstreamDeps['onRequest']
  /** Apart from blobs, so that a small answer never waits for a connection that a large one has. */
  readonly #control: Agent
  readonly #blobs: Agent
  readonly #userAgent = `oci-mirror/${ownVersion()}`

  constructor(options: RegistryOptions, deps: UpstreamDeps) {
    this.#options = options
    this.#clock = deps.clock
    this.#onRequest = deps.onRequest
    const timeouts = deps.timeouts ?? TIMEOUTS
    const settings: Agent.Options = {
      connect: guardedConnector(options, timeouts.connect, deps.lookup),
      connections: options.connections,
      pipelining: 1,
      // HTTP/2's flow control windows make a blob crawl as soon as there is some distance.
      allowH2: false,
      headersTimeout: timeouts.headers,
      bodyTimeout: timeouts.body,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: LONGEST_IDLE_MS,
    }
    this.#control = new Agent(settings)
    this.#blobs = new Agent(settings)
  }

  /** Any status is an answer. Throws UpstreamFailure if there is none, or the signal's reason. */
  async send(call: Call, signal: AbortSignal): Promise<Reply> {
    const what = `${call.method} ${describeUrl(call.url)}`
    const started = this.#clock.now()
    let status: number | undefined
    try {
      const data = await abortable(this.#request(call, signal), signal)
      status = data.statusCode
      return new Reply(what, data, this.#clock, signal)
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
      })
    }
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    await Promise.all([this.#control.destroy(), this.#blobs.destroy()])
  }

  #request(call: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const agent = call.kind === 'blob' ? this.#blobs : this.#control
    return agent.request({
      origin: call.url.origin,
      path: call.url.pathname + call.url.search,
      method: call.method,
      signal,
      highWaterMark: BLOB_BUFFER,
      // undici would close the connection after each HEAD, which is what we send most, over TLS.
      reset: false,
      headers: {
        ...call.headers,
        // A compressed body has another digest and no length that means anything.
        'accept-encoding': 'identity',
        'user-agent': this.#userAgent,
      },
    })
  }
}

function ownVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  return (manifest as { readonly version: string }).version
}
