import type { Socket } from 'node:net'
import { buildConnector, Pool } from 'undici'
import type { Timeouts } from './options.ts'
import { proxyHeaders } from './proxies.ts'

/** Opens a connection to `host:port` that a proxy passes on. Rejects with ProxyFailure. */
export interface Tunnel {
  connect(target: string): Promise<Socket>
  close(): Promise<void>
}

/**
 * The proxy made no tunnel; `cause`, if there is one, is why we could not even ask. A class of its own also
 * because undici connects again for ever when a connector fails with an error of its own kind.
 */
export class ProxyFailure extends Error {
  override readonly name = 'ProxyFailure'
}

/** CONNECT (RFC 9110 §9.3.6). A connection to the proxy becomes one tunnel. */
export function openTunnel(proxy: URL, timeouts: Timeouts): Tunnel {
  const pool = new Pool(proxy.origin, {
    connect: buildConnector({ allowH2: false, timeout: timeouts.connect }),
    headersTimeout: timeouts.headers,
  })
  return {
    async connect(target) {
      const { socket, statusCode } = await ask(pool, target, proxy)
      if (statusCode >= 200 && statusCode < 300) return socket as Socket
      // What follows is the proxy's error page.
      socket.on('error', () => undefined).destroy()
      throw new ProxyFailure(describeProxyRefusal(statusCode))
    },
    close: () => pool.destroy(),
  }
}

async function ask(pool: Pool, target: string, proxy: URL) {
  try {
    const headers = { host: target, ...proxyHeaders(proxy) }
    return await pool.connect({ path: target, headers })
  } catch (cause) {
    throw new ProxyFailure('the proxy cannot be asked', { cause })
  }
}

/** Never with the credentials, whatever the proxy says of them. */
export function describeProxyRefusal(status: number): string {
  return status === 407
    ? 'the proxy wants another user name and password than its URL has (407)'
    : `the proxy made no connection (it answered ${status})`
}
