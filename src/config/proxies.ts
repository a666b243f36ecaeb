import type { ProxyConfig } from './config.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** The first of them that is set decides: lower case before upper case, one scheme's own before ALL_PROXY. */
const ALL = ['all_proxy', 'ALL_PROXY']
const HTTP = ['http_proxy', 'HTTP_PROXY', ...ALL]
const HTTPS = ['https_proxy', 'HTTPS_PROXY', ...ALL]
const BYPASS = ['no_proxy', 'NO_PROXY']

const SCHEME = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//

/**
 * The proxies that the environment names, with curl's meaning: a variable that is empty is not set, a
 * URL without a scheme is http://, and https:// goes by its own variable. A problem is a complete line.
 */
export function readProxies(env: Environment): {
  readonly proxies: ProxyConfig
  readonly problems: readonly string[]
} {
  const problems = new Set<string>()
  const read = (names: readonly string[]) => {
    const name = names.find((one) => isSet(env[one]))
    const url = name === undefined ? undefined : parseProxy(env[name] ?? '')
    if (typeof url === 'string') problems.add(`${name}: ${url}`)
    return typeof url === 'string' ? undefined : url
  }
  const http = read(HTTP)
  const https = read(HTTPS)
  const bypass = BYPASS.map((name) => env[name]).find(isSet) ?? ''
  const entries = bypass.split(/[\s,]+/).filter((entry) => entry !== '')
  return { proxies: { http, https, bypass: entries }, problems: [...problems] }
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== ''
}

/** The URL, or what is wrong with it, which never repeats it: it may hold a password. */
function parseProxy(text: string): URL | string {
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase()
  if (scheme?.startsWith('socks') === true) {
    return 'proxies that speak SOCKS are not supported: name an HTTP proxy, or unset it'
  }
  const url = URL.parse(scheme === undefined ? `http://${text}` : text)
  const isProxy = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (url === null || !isProxy || url.pathname !== '/' || url.search !== '' || !canDecode(url)) {
    return 'expected the URL of an HTTP proxy such as "http://proxy.example:3128"'
  }
  return url
}

/** A user name and password stand there percent-encoded; a lone `%` is a password that is not. */
function canDecode({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    // That it cannot be decoded is the answer.
    return false
  }
}
