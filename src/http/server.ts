import type { RequestListener, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { StartError } from '../core/start-error.ts'
import { openListeners } from './listeners.ts'
import { refuseTunnel, refuseUnreadable } from './unreadable-request.ts'

/** Longer than any client keeps an idle connection (containerd 30 s, BuildKit 120 s): they close first. */
const KEEP_ALIVE_MS = 125_000
/** A request that names a thousand ranges is long. */
const MAX_HEADER_BYTES = 64 * 1024
/** Whoever refuses connections says so at once, and then not at every one of them. */
const SAY_AGAIN_MS = 60_000

/** What peers may take. Durations in milliseconds. */
export interface ServerLimits {
  /** More are closed as they come. */
  readonly connections: number
  /** That listen: how many connections are accepted in one turn of the loop. */
  readonly sockets: number
  /** From the first byte of a request's head (of a new connection, from its beginning) to the last one. */
  readonly head: number
  /** To the last byte of its body, if anyone reads those; 0: as long as it takes. */
  readonly request: number
  /** How often that is looked at. */
  readonly check: number
  /** A connection on which nothing moves, in either direction, for this long is dead; 0: none ever is. */
  readonly progress: number
}

/** More connections than one disk can serve, and fewer than the descriptors that systems give today. */
export const SERVER_LIMITS: ServerLimits = {
  connections: 10_000,
  sockets: 32,
  head: 20_000,
  // No request of theirs has a body that anyone reads: its head is all of it.
  request: 20_000,
  check: 5_000,
  progress: 60_000,
}
/** What an operator asks for may take hours before it has an answer, and so may a blob that he brings. */
export const ADMIN_LIMITS: ServerLimits = { ...SERVER_LIMITS, sockets: 1, progress: 0, request: 0 }

export interface ServerHooks {
  /** A connection has been accepted. More may be waiting: Node takes few in each turn of its loop. */
  readonly onConnection?: () => void
  /** There are too many connections: how many have been closed since it was said last. */
  readonly onRefused?: (connections: number) => void
}

/** Where to listen, and the key of the configuration that says so. */
export interface ListenPlace {
  readonly host: string
  readonly port: number
  /** Default `server.listen`. */
  readonly key?: string
}

export interface HttpServer {
  readonly host: string
  readonly port: number
  /** Accepts nothing new, waits at most `ms` for answers under way, then cuts what is left. */
  drain(ms: number): Promise<void>
}

/** Throws StartError when it cannot listen. */
export async function listen(
  address: ListenPlace,
  listener: RequestListener,
  hooks: ServerHooks = {},
  limits: ServerLimits = SERVER_LIMITS,
): Promise<HttpServer> {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: limits.head,
      requestTimeout: limits.request,
      connectionsCheckingInterval: limits.check,
      // HTTP/1.0 may leave it out; the front refuses HTTP/1.1 without it, in the specification's form.
      requireHostHeader: false,
    },
    listener,
  )
  server.timeout = limits.progress
  // Refusing a push needs none of its body: the client is told before it sends one.
  server.on('checkContinue', listener)
  // Any other expectation may be ignored (RFC 9110 §10.1.1).
  server.on('checkExpectation', listener)
  const isAnswering = watchAnswers(server)
  const silent = watchSilent(server)
  server.on('clientError', (error, socket) => refuseUnreadable(error, socket, isAnswering(socket)))
  server.on('connect', refuseTunnel)
  if (hooks.onConnection !== undefined) server.on('connection', hooks.onConnection)
  if (hooks.onRefused !== undefined) reportRefused(server, hooks.onRefused)
  const { port, close } = await started(server, address, limits)
  return { host: address.host, port, drain: (ms) => drain(server, close, silent, ms) }
}

/** Whether an answer is under way on a connection. */
function watchAnswers(server: Server): (socket: Duplex) => boolean {
  // Answers are sent in the order of their requests: when the last one is over, all are.
  const last = new WeakMap<Duplex, ServerResponse>()
  server.on('request', ({ socket }, outgoing) => last.set(socket, outgoing))
  return (socket) => {
    const outgoing = last.get(socket)
    return outgoing !== undefined && !outgoing.writableFinished && !outgoing.destroyed
  }
}

/** Connections that have said nothing so far. */
function watchSilent(server: Server): () => readonly Socket[] {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return () => [...sockets].filter(({ bytesRead }) => bytesRead === 0)
}

function reportRefused(server: Server, onRefused: (connections: number) => void): void {
  let refused = 0
  let saidAt = -Infinity
  server.on('drop', () => {
    refused += 1
    // How long something has lasted is no question for a clock that may be set.
    if (performance.now() - saidAt < SAY_AGAIN_MS) return
    saidAt = performance.now()
    onRefused(refused)
    refused = 0
  })
}

async function started(server: Server, place: ListenPlace, limits: ServerLimits) {
  const { host, port, key = 'server.listen' } = place
  try {
    return await openListeners(server, { host, port }, limits)
  } catch (cause) {
    throw new StartError(explain(cause, host, port, key), { cause })
  }
}

function explain(cause: unknown, host: string, port: number, key: string): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const where = `cannot listen on ${host}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `${where}: the port is in use; stop what uses it or choose another (${key})`
    case 'EACCES':
      return `${where}: not permitted; ports below 1024 need a privilege, choose another (${key})`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${where}: this machine has no such address (${key})`
    default:
      return `${where}: ${cause instanceof Error ? cause.message : String(cause)} (${key})`
  }
}

/**
 * Node closes what is idle when the server closes; what becomes idle afterwards it keeps open, and it
 * takes a new connection for one whose request is on its way.
 */
const SWEEP_MS = 50

async function drain(
  server: Server,
  close: () => Promise<void>,
  silent: () => readonly Socket[],
  ms: number,
): Promise<void> {
  const closed = close()
  const sweep = setInterval(() => {
    server.closeIdleConnections()
    for (const socket of silent()) socket.destroy()
  }, SWEEP_MS)
  const cut = setTimeout(() => server.closeAllConnections(), ms)
  await closed
  clearInterval(sweep)
  clearTimeout(cut)
}
