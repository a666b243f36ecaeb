import { isBypassed } from './no-proxy.ts'

/** The HTTP proxies of the environment, for registries, token servers and redirect targets alike. */
export interface Proxies {
  /**
   * What requests to http:// and to https:// go through. As with curl, one says nothing about the other.
   * The URL may hold a user name and a password.
   */
  readonly http: URL | undefined
  readonly https: URL | undefined
  /** The entries of NO_PROXY: see no-proxy.ts. */
  readonly bypass: readonly string[]
}

/** What a request to the URL goes through, if it goes through any. */
export function proxyFor(url: URL, proxies: Proxies | undefined): URL | undefined {
  if (proxies === undefined) return undefined
  const proxy = url.protocol === 'https:' ? proxies.https : proxies.http
  return isBypassed(url, proxies.bypass) ? undefined : proxy
}

/** The header that a proxy whose URL holds a user name is given, and nobody else. */
export function proxyHeaders({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === '') return {}
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` }
}
