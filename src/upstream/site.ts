import { getDomain } from 'tldts'

/** Private suffixes (github.io, s3.amazonaws.com) separate owners just as public ones do. */
const RULES = { allowPrivateDomains: true } as const

/**
 * Whether both hosts belong to one registrable domain: `auth.docker.io` and `registry-1.docker.io`. Never
 * true of addresses or of names without a domain, such as `localhost`.
 */
export function isSameSite(one: URL, other: URL): boolean {
  const domain = getDomain(one.hostname, RULES)
  return domain !== null && domain === getDomain(other.hostname, RULES)
}

/** Whether both mean one port of one host, whatever they speak there. */
export function isSameHost(one: URL, other: URL): boolean {
  return one.hostname === other.hostname && portOf(one) === portOf(other)
}

function portOf({ port, protocol }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80')
}

/** Whether the operator's list has the URL's host and port. An entry without a port means the scheme's own. */
export function isListed(entries: readonly string[], url: URL): boolean {
  return entries.some((entry) => URL.parse(`${url.protocol}//${entry}`)?.host === url.host)
}

/**
 * What no URL that a registry sends us may have, whatever it is for: another protocol, a name and
 * password, or a host with a trailing dot (the same host under a name that no list matches).
 */
export function findUrlFault(url: URL): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'is neither http nor https'
  if (url.username !== '' || url.password !== '') return 'has a user name in it'
  return url.hostname.endsWith('.') ? 'has a host name that ends in a dot' : undefined
}
