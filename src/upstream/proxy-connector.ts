import { isIP } from 'node:net'
import { buildConnector } from 'undici'
import { ProxyFailure } from './proxy-failure.ts'

/**
 * Connects to a proxy, or fails with ProxyFailure. Its address may be any: the operator wrote it. The name in
 * its certificate is set here, because undici takes it from the request's `Host`, which is the registry's.
 */
export function proxyConnector(proxy: URL, timeout: number): buildConnector.connector {
  const connector = buildConnector({ allowH2: false, timeout })
  const hostname = proxy.hostname.replace(/^\[|\]$/g, '')
  // No name may be asked for where there is none (RFC 6066 §3); then the certificate is checked for the address.
  const servername = isIP(hostname) === 0 ? hostname : ''
  return (target, callback) =>
    connector({ ...target, servername }, (error, socket) => {
      if (error === null) callback(null, socket)
      else callback(new ProxyFailure('the proxy cannot be reached', { cause: error }), null)
    })
}
