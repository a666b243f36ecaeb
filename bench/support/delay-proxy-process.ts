import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { DelayLine } from './delay-line.ts'
import type { DelayProxyRequest } from './delay-proxy.ts'

// Run by delay-proxy.ts as a process of its own: it must not wait while the harness computes, nor the
// other way round.
const { host, port, roundTripMs } = JSON.parse(process.argv[2] ?? '') as DelayProxyRequest

/**
 * The system has opened the client's connection already, with no delay. Over a real distance a client
 * could not have sent anything until one round trip later: what it sends earlier is held that long.
 */
function join(client: Socket): void {
  const opensAt = performance.now() + roundTripMs
  const server = connect({ host, port, noDelay: true, allowHalfOpen: true })
  const lines = [lay(client, server, opensAt), lay(server, client, opensAt)]
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    // `close` follows, and says so to the other side.
    socket.on('error', () => {})
    socket.on('close', () => {
      // Both directions came to their ends: what is still on its way to the other side arrives.
      if (socket.readableEnded && socket.writableFinished) return
      for (const line of lines) line.cut()
      other.resetAndDestroy()
    })
  }
}

function lay(from: Socket, to: Socket, opensAt: number): DelayLine {
  const line = new DelayLine({ from, to, delayMs: roundTripMs / 2, opensAt })
  from.on('data', (bytes: Buffer) => line.push(bytes))
  from.on('end', () => line.end())
  to.on('drain', () => line.drained())
  return line
}

const listener = createServer({ allowHalfOpen: true, noDelay: true }, join)
listener.listen(0, '127.0.0.1')
await once(listener, 'listening')
process.send?.((listener.address() as AddressInfo).port)
// Whoever started it has gone.
process.once('disconnect', () => process.exit())
