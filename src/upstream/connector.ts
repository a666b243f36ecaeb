import { X509Certificate } from 'node:crypto'
import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import type { SecureContext } from 'node:tls'
import { createSecureContext, getCACertificates } from 'node:tls'
import { buildConnector } from 'undici'
import { classifyAddress } from './address-rule.ts'
import type { RegistryOptions } from './options.ts'
import type { ReadBuffers } from './read-buffers.ts'
import { isListed, isSameHost, isSameSite } from './site.ts'
import type { Tunnel } from './tunnel.ts'

type Connector = buildConnector.connector

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Which addresses a host may have: any, public and private ones, or public ones only. */
type Reach = 'any' | 'private' | 'public'

type DialOptions = Pick<
  RegistryOptions,
  'endpoints' | 'tokenRealms' | 'redirectHosts' | 'ca' | 'insecure'
>

interface Ways {
  /** Instead of the system's resolver. */
  readonly lookup?: LookupFunction | undefined
  /** Instead of connections of our own: TLS is spoken through it, and names are resolved behind it. */
  readonly tunnel?: Tunnel
  /** Instead of buffers that each socket makes for itself. Not for what comes out of a tunnel. */
  readonly reads?: ReadBuffers | undefined
}

/** A host that an upstream named resolves to an address that it must not lead us to. */
export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress'
}

/**
 * The one way that this folder opens a socket to a host that others may have named, and so the place where
 * addresses are judged: at connect time, the literal ones in URLs (which Node never looks up) and every
 * answer of the resolver.
 */
export function guardedConnector(
  options: DialOptions,
  connectTimeout: number,
  { lookup = systemLookup, tunnel, reads }: Ways = {},
): Connector {
  const secureContext = options.ca === undefined ? undefined : contextWith(options.ca)
  const connectors = new Map<string, Connector>()
  const connectorFor = (reach: Reach, rejectUnauthorized: boolean): Connector => {
    const key = `${reach} ${rejectUnauthorized}`
    const known = connectors.get(key)
    if (known !== undefined) return known
    const connector = buildConnector({
      allowH2: false,
      timeout: connectTimeout,
      lookup: guardedLookup(lookup, reach),
      rejectUnauthorized,
      ...(secureContext && { secureContext }),
      ...(reads && { onread: reads.onread }),
    })
    connectors.set(key, connector)
    return connector
  }
  return (target, callback) => {
    const url = new URL(`${target.protocol}//${target.host ?? target.hostname}`)
    const forbidden = forbiddenLiteral(url, options)
    if (forbidden !== undefined) {
      queueMicrotask(() => callback(forbidden, null))
      return
    }
    const isOwnHost = options.endpoints.some(({ hostname }) => hostname === url.hostname)
    const connector = connectorFor(reachOf(url, options), !(options.insecure && isOwnHost))
    if (tunnel === undefined) connector(target, callback)
    else void connectThrough(tunnel, connector, target, callback)
  }
}

async function connectThrough(
  tunnel: Tunnel,
  connector: Connector,
  target: buildConnector.Options,
  callback: buildConnector.Callback,
): Promise<void> {
  const { hostname, port } = new URL(`https://${target.host ?? target.hostname}`)
  try {
    const httpSocket = await tunnel.connect(`${hostname}:${port || '443'}`)
    connector({ ...target, httpSocket }, callback)
  } catch (failure) {
    // The callback is how undici wants to hear of it.
    callback(failure instanceof Error ? failure : new Error(String(failure)), null)
  }
}

/** Why a URL may not be asked whose host is an address, or a name that always means this machine. */
export function forbiddenLiteral(url: URL, options: DialOptions): ForbiddenAddress | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const address = /(?:^|\.)localhost$/.test(host) ? '127.0.0.1' : host
  if (isIP(address) === 0 || isWithin(reachOf(url, options), address)) return undefined
  return new ForbiddenAddress(explain(address))
}

/** What the operator wrote may be anywhere; what belongs to the same owner may be in the same network. */
function reachOf(url: URL, { endpoints, tokenRealms, redirectHosts }: DialOptions): Reach {
  const isWritten = endpoints.some((endpoint) => isSameHost(endpoint, url))
  if (isWritten || isListed(tokenRealms, url) || isListed(redirectHosts, url)) return 'any'
  return endpoints.some((endpoint) => isSameSite(endpoint, url)) ? 'private' : 'public'
}

function isWithin(reach: Reach, address: string): boolean {
  if (reach === 'any') return true
  const found = classifyAddress(address)
  return found === 'public' || (found === 'private' && reach === 'private')
}

/** One forbidden answer condemns them all: a name that mixes them is rebinding, not load balancing. */
function guardedLookup(lookup: LookupFunction, reach: Reach): LookupFunction {
  if (reach === 'any') return lookup
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, answers, family) => {
      if (error !== null) return callback(error, [])
      const all =
        typeof answers === 'string' ? [{ address: answers, family: family ?? 4 }] : answers
      const forbidden = all.find(({ address }) => !isWithin(reach, address))
      if (forbidden !== undefined) {
        return callback(new ForbiddenAddress(explain(forbidden.address)), [])
      }
      const [first] = all
      if (options.all === true || first === undefined) return callback(null, [...all])
      callback(null, first.address, first.family)
    })
  }
}

function explain(address: string): string {
  return `its address ${address} is not public`
}

/** Made once: parsing the hundred and more roots for each connection would cost more than the handshake. */
function contextWith(ca: string): SecureContext {
  return createSecureContext({ ca: [...getCACertificates('default'), ...certificatesIn(ca)] })
}

/** createSecureContext itself takes no offence at a text without any certificate. */
function certificatesIn(pem: string): readonly string[] {
  try {
    const blocks = pem.match(PEM_BLOCK) ?? []
    if (blocks.length === 0) throw new Error('no BEGIN CERTIFICATE line')
    return blocks.map((block) => new X509Certificate(block).toString())
  } catch (cause) {
    throw new Error('the `ca` of an upstream is no PEM certificate: give the text of the file', {
      cause,
    })
  }
}
