import type { UpstreamConfig } from '../config/config.ts'
import type { FailureKind, UpstreamFailure } from '../core/upstream-failure.ts'
import type { HopName } from './hop.ts'

/** A failure that ends with what to configure, such as ``list the host in `redirectHosts` ``. */
const NAMES_SETTING = /`\w+`$/

/** What a person can do about a failure. */
export function adviceFor(
  hop: HopName,
  failure: UpstreamFailure,
  upstream: UpstreamConfig,
): string {
  if (hop === 'dns') return dnsAdvice(upstream)
  if (hop === 'connect') return connectAdvice(upstream)
  return requestAdvice(failure, upstream)[failure.kind]
}

function dnsAdvice(upstream: UpstreamConfig): string {
  const resolver = "or this machine's resolver (/etc/resolv.conf)"
  return `correct the \`url\` of ${upstream.name}${proxyAdvice(upstream)}, ${resolver}`
}

function connectAdvice(upstream: UpstreamConfig): string {
  return (
    'see that it is up, that no firewall stands in between, and that the `url` of ' +
    `${upstream.name} is right${proxyAdvice(upstream)}`
  )
}

/** The environment's part in it, if it has any. */
function proxyAdvice({ proxies: { http, https } }: UpstreamConfig): string {
  if (http === undefined && https === undefined) return ''
  return ', and HTTP_PROXY, HTTPS_PROXY and NO_PROXY'
}

function requestAdvice(
  { message, retryAfter }: UpstreamFailure,
  { name, credentials }: UpstreamConfig,
): Readonly<Record<FailureKind, string>> {
  const wait = retryAfter === undefined ? 'wait a while' : `wait ${retryAfter} s`
  const mirror = 'meanwhile the mirror serves what it has cached'
  return {
    denied:
      credentials === undefined
        ? `check the name: registries refuse what does not exist as well; if it is private, give ${name} an \`auth\``
        : `check the \`auth\` of ${name}, and that it may pull this repository`,
    'rate-limited':
      credentials === undefined
        ? `${wait}, or give ${name} an \`auth\`: accounts may pull more; ${mirror}`
        : `${wait}; ${mirror}`,
    unavailable: `try again, and look whether the registry is in trouble; ${mirror}`,
    timeout: `try again, and look for what is slow: the registry, or a proxy in between; ${mirror}`,
    misbehaved: NAMES_SETTING.test(message)
      ? 'do that if you trust the host: the mirror goes nowhere that only the registry named'
      : `check the \`url\` of ${name}, and what may answer in its place (a proxy, a captive portal)`,
    offline: `ask the mirror itself: nothing of ${name} is asked for (\`mode\`)`,
    busy: `raise the \`connections\` of ${name}`,
  }
}
