import type { RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'
import { StartError } from '../core/start-error.ts'
import { refuseTunnel, refuseUnreadable } from './unreadable-request.ts'

/** Longer than any client keeps an idle connection (containerd 30 s, BuildKit 120 s): they close first. */
const KEEP_ALIVE_MS = 125_000
/** A request that names a thousand ranges is long. */
const MAX_HEADER_BYTES = 64 * 1024
const MAX_CONNECTIONS = 10_000
/** A connection on which nothing moves, in either direction, for this long is dead. */
const NO_PROGRESS_MS = 60_000

export interface HttpServer {
  readonly host: string
  readonly port: number
  /** Accepts nothing new, waits at most `ms` for answers under way, then cuts what is left. */
  drain(ms: number): Promise<void>
}

/** Throws StartError when it cannot listen. */
export async function listen(
  address: { readonly host: string; readonly port: number },
  listener: RequestListener,
): Promise<HttpServer> {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // HTTP/1.0 may leave it out; the front refuses HTTP/1.1 without it, in the specification's form.
      requireHostHeader: false,
    },
    listener,
  )
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = NO_PROGRESS_MS
  // Refusing a push needs none of its body: the client is told before it sends one.
  server.on('checkContinue', listener)
  // Any other expectation may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', listener)
  server.on('clientError', refuseUnreadable)
  server.on('connect', refuseTunnel)
  await started(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
  return { host: address.host, port, drain: (ms) => drain(server, ms) }
}

async function started(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, resolve)
  try {
    await promise
    server.off('error', reject)
  } catch (cause) {
    throw new StartError(explain(cause, host, port), { cause })
  }
}

function explain(cause: unknown, host: string, port: number): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const where = `cannot listen on ${host}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `${where}: the port is in use; stop what uses it or choose another (server.listen)`
    case 'EACCES':
      return `${where}: not permitted; ports below 1024 need a privilege, choose another (server.listen)`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${where}: this machine has no such address (server.listen)`
    default:
      return `${where}: ${cause instanceof Error ? cause.message : String(cause)} (server.listen)`
  }
}

/** Node closes what is idle when the server closes; what becomes idle afterwards it keeps open. */
const SWEEP_MS = 50

async function drain(server: Server, ms: number): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
  const cut = setTimeout(() => server.closeAllConnections(), ms)
  await closed
  clearInterval(sweep)
  clearTimeout(cut)
}
