import type { Socket } from 'node:net'
import { Pool } from 'undici'
import type { Timeouts } from './options.ts'
import { proxyHeaders } from './proxies.ts'
import { proxyConnector } from './proxy-connector.ts'
import { ProxyFailure, proxyRefusal } from './proxy-failure.ts'

/** Opens a connection to `host:port` that a proxy passes on. Rejects with ProxyFailure. */
export interface Tunnel {
  connect(target: string): Promise<Socket>
  close(): Promise<void>
}

/** CONNECT (RFC 9110 §9.3.6). A connection to the proxy becomes one tunnel. */
export function openTunnel(proxy: URL, timeouts: Timeouts): Tunnel {
  const pool = new Pool(proxy.origin, {
    connect: proxyConnector(proxy, timeouts.connect),
    headersTimeout: timeouts.headers,
  })
  return {
    async connect(target) {
      const { socket, statusCode } = await ask(pool, target, proxy)
      if (statusCode >= 200 && statusCode < 300) return socket as Socket
      // What follows is the proxy's error page.
      socket.on('error', () => undefined).destroy()
      throw proxyRefusal(statusCode)
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
