import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'
import { guardedConnector } from './connector.ts'
import type { RegistryOptions } from './options.ts'
import { TIMEOUTS } from './options.ts'
import { proxyFor } from './proxies.ts'
import { proxyConnector } from './proxy-connector.ts'
import { transportFailure } from './transport-failure.ts'
import { openTunnel } from './tunnel.ts'

type Connector = buildConnector.connector

/** A connection that could be made. */
export interface Dialled {
  /** `203.0.113.7:443`, `[2001:db8::7]:443`. Behind a proxy only that one knows it. */
  readonly address: string | undefined
  /** Host and port of the proxy in between. */
  readonly proxy: string | undefined
  /** For https. The certificate's words are the server's own. */
  readonly tls:
    { readonly protocol: string; readonly issuer: string; readonly validUntil: string } | undefined
}

/**
 * Connects to an endpoint of the upstream, just as its requests do, and hangs up. For people who look for
 * what is wrong. Through a proxy, http:// only gets as far as the proxy. Rejects with UpstreamFailure.
 */
export async function dial(options: RegistryOptions, endpoint: URL): Promise<Dialled> {
  const proxy = proxyFor(endpoint, options.proxies)
  const tunnel =
    proxy !== undefined && endpoint.protocol === 'https:' ? openTunnel(proxy, TIMEOUTS) : undefined
  const isHandedOver = proxy !== undefined && tunnel === undefined
  const connector = isHandedOver
    ? proxyConnector(proxy, TIMEOUTS.connect)
    : guardedConnector(options, TIMEOUTS.connect, tunnel && { tunnel })
  const way = proxy === undefined ? '' : ` (through the proxy ${proxy.host})`
  try {
    const socket = await connect(connector, isHandedOver ? proxy : endpoint)
    const address = proxy === undefined ? addressOf(socket) : undefined
    const dialled = { address, proxy: proxy?.host, tls: tlsOf(socket) }
    socket.on('error', () => {}).destroy()
    return dialled
  } catch (cause) {
    throw transportFailure(`connect to ${endpoint.origin}${way}`, cause)
  } finally {
    await tunnel?.close()
  }
}

function connect(connector: Connector, { protocol, host, hostname, port }: URL): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  // As undici does: an IPv6 address is in brackets in a URL, and nowhere else.
  const bare = hostname.replace(/^\[|\]$/g, '')
  connector({ protocol, host, hostname: bare, port }, (error, socket) =>
    error === null ? resolve(socket) : reject(error),
  )
  return promise
}

function addressOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return remoteAddress.includes(':')
    ? `[${remoteAddress}]:${remotePort}`
    : `${remoteAddress}:${remotePort}`
}

function tlsOf(socket: Socket): Dialled['tls'] {
  if (!(socket instanceof TLSSocket)) return undefined
  const { issuer, valid_to: validTo } = socket.getPeerCertificate()
  return {
    protocol: socket.getProtocol() ?? 'TLS',
    issuer: [issuer.O ?? issuer.CN ?? 'an unnamed issuer'].flat().join(' '),
    validUntil: new Date(validTo).toISOString().slice(0, 10),
  }
}
