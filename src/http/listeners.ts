import type { Server } from 'node:http'
import type { AddressInfo, ListenOptions, Server as NetServer, Socket } from 'node:net'
import { createServer } from 'node:net'

/** Elsewhere the kernel does not spread connections over sockets that share a port, or lets none share it. */
const CAN_SHARE_PORT = process.platform === 'linux'

interface Place {
  readonly host: string
  readonly port: number
}

interface Bounds {
  /** More connections at a time are closed as they come; the server emits `drop`. */
  readonly connections: number
  /**
   * That listen, on the one port. Node takes one connection from each in a turn of its loop: with a single one
   * the last of two hundred clients who come at once waits for two hundred turns.
   */
  readonly sockets: number
}

interface Listeners {
  readonly port: number
  /** Accepts nothing new, and resolves when the last connection has closed. */
  readonly close: () => Promise<void>
}

/** Lets the server listen. Rejects with the system's error. */
export async function openListeners(
  server: Server,
  place: Place,
  { connections, sockets }: Bounds,
): Promise<Listeners> {
  server.maxConnections = connections
  if (sockets === 1 || !CAN_SHARE_PORT) {
    const { port } = await listening(server, place)
    return { port, close: () => closed(server) }
  }
  // Those that share a port would share it with another mirror as well. One that does not share it finds out
  // whether anybody has it.
  const probe = createServer()
  const { port } = await listening(probe, place)
  await closed(probe)
  const shared = { ...place, port, reusePort: true }
  const all = [server, ...helpersOf(server, sockets - 1, connections)]
  const close = async () => {
    await Promise.all(all.map((one) => closed(one)))
  }
  try {
    await Promise.all(all.map((one) => listening(one, shared)))
  } catch (reason) {
    await close()
    throw reason
  }
  return { port, close }
}

/** They take connections for the server, which treats them as its own. */
function helpersOf(server: Server, count: number, limit: number): readonly NetServer[] {
  let open = 0
  server.on('connection', (socket) => {
    open += 1
    socket.once('close', () => (open -= 1))
  })
  const take = (socket: Socket) => {
    if (open >= limit) {
      socket.destroy()
      server.emit('drop')
      return
    }
    // The server counts and bounds only what it has accepted itself.
    server.maxConnections -= 1
    socket.once('close', () => (server.maxConnections += 1))
    server.emit('connection', socket)
  }
  // As the server's own: HTTP decides when its connections end.
  const options = { allowHalfOpen: true, noDelay: true }
  return Array.from({ length: count }, () => createServer(options, take))
}

async function listening(server: NetServer, options: ListenOptions): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(options, resolve)
  await promise
  server.off('error', reject)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it listens on no port')
  return address
}

async function closed(server: NetServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  await promise
}
