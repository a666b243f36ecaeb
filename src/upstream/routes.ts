import type { buildConnector } from 'undici'
import { Agent } from 'undici'
import { forbiddenLiteral, guardedConnector } from './connector.ts'
import type { RegistryOptions, Timeouts, UpstreamDeps } from './options.ts'
import { TIMEOUTS } from './options.ts'
import { proxyFor, proxyHeaders } from './proxies.ts'
import { proxyConnector } from './proxy-connector.ts'
import { ReadBuffers } from './read-buffers.ts'
import type { Tunnel } from './tunnel.ts'
import { openTunnel } from './tunnel.ts'

/** Milliseconds: shorter than the idle limits of the load balancers that registries stand behind. */
const IDLE_MS = 10_000
const LONGEST_IDLE_MS = 30_000

/** Connections for one way out. */
export interface Lanes {
  /** Apart from blobs, so that a small answer never waits for a connection that a large one has. */
  readonly control: Agent
  readonly blobs: Agent
  /** What the connections of blobs read into. */
  readonly reads: ReadBuffers
}

export interface Route {
  readonly lanes: Lanes
  readonly origin: string
  /** The request target: a path, or for a proxy the whole URL (RFC 9112 §3.2.2). */
  readonly path: string
  /** Headers that the way needs beside the request's own. */
  readonly headers: Readonly<Record<string, string>>
  /** Host and port of the proxy in between. */
  readonly proxy: string | undefined
}

/** Behind one proxy. */
interface Way {
  readonly proxy: URL
  readonly lanes: Lanes
}

/**
 * The ways out for the requests of one upstream: straight to the host; through a tunnel that a proxy makes,
 * for https; or handed to a proxy as a whole, for http. A proxy resolves names itself, so that behind one
 * no address is judged but those that stand in URLs.
 */
export class Routes {
  readonly #options: RegistryOptions
  readonly #direct: Lanes
  readonly #http: Way | undefined
  readonly #https: Way | undefined
  readonly #tunnel: Tunnel | undefined

  constructor(options: RegistryOptions, deps: UpstreamDeps) {
    const { timeouts = TIMEOUTS, lookup } = deps
    const { proxies } = options
    const open = (connect: (reads?: ReadBuffers) => buildConnector.connector) =>
      openLanes(connect, options, timeouts)
    this.#options = options
    this.#direct = open((reads) => guardedConnector(options, timeouts.connect, { lookup, reads }))
    if (proxies?.http !== undefined) {
      const connector = proxyConnector(proxies.http, timeouts.connect)
      this.#http = { proxy: proxies.http, lanes: open(() => connector) }
    }
    if (proxies?.https !== undefined) {
      this.#tunnel = openTunnel(proxies.https, timeouts)
      const connector = guardedConnector(options, timeouts.connect, { tunnel: this.#tunnel })
      this.#https = { proxy: proxies.https, lanes: open(() => connector) }
    }
  }

  /** Throws ForbiddenAddress where no connector would see that the URL holds one. */
  to(url: URL): Route {
    const { origin } = url
    const path = url.pathname + url.search
    const isTls = url.protocol === 'https:'
    const way = isTls ? this.#https : this.#http
    if (way === undefined || proxyFor(url, this.#options.proxies) === undefined) {
      return { lanes: this.#direct, origin, path, headers: {}, proxy: undefined }
    }
    const { proxy, lanes } = way
    if (isTls) return { lanes, origin, path, headers: {}, proxy: proxy.host }
    const forbidden = forbiddenLiteral(url, this.#options)
    if (forbidden !== undefined) throw forbidden
    const headers = { host: url.host, ...proxyHeaders(proxy) }
    return { lanes, origin: proxy.origin, path: origin + path, headers, proxy: proxy.host }
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    const lanes = [this.#direct, this.#http?.lanes, this.#https?.lanes]
    const agents = lanes.flatMap((pair) => (pair ? [pair.control, pair.blobs] : []))
    await Promise.all([...agents.map((agent) => agent.destroy()), this.#tunnel?.close()])
  }
}

function openLanes(
  connect: (reads?: ReadBuffers) => buildConnector.connector,
  { connections }: RegistryOptions,
  timeouts: Timeouts,
): Lanes {
  const reads = new ReadBuffers()
  const settings: Agent.Options = {
    connections,
    pipelining: 1,
    // HTTP/2's flow control windows make a blob crawl as soon as there is some distance.
    allowH2: false,
    headersTimeout: timeouts.headers,
    bodyTimeout: timeouts.body,
    keepAliveTimeout: IDLE_MS,
    keepAliveMaxTimeout: LONGEST_IDLE_MS,
  }
  return {
    control: new Agent({ ...settings, connect: connect() }),
    blobs: new Agent({ ...settings, connect: connect(reads) }),
    reads,
  }
}
