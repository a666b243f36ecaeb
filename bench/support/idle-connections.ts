import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, get } from 'node:http'
import { text } from 'node:stream/consumers'

/** Connections that have been used once, and are kept. */
export interface IdleConnections {
  /** How many the server has not closed since. */
  open(): number
  close(): void
}

/** Of those that are being opened at once: a server's queue for new ones is short. */
const AT_ONCE = 50

/** Opens them, each with one request that has to be answered with 200. */
export async function openIdleConnections(url: string, count: number): Promise<IdleConnections> {
  const agents = Array.from({ length: count }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  for (let first = 0; first < count; first += AT_ONCE) {
    await Promise.all(agents.slice(first, first + AT_ONCE).map((agent) => use(url, agent)))
  }
  return {
    open: () => agents.filter(isOpen).length,
    close: () => {
      for (const agent of agents) agent.destroy()
    },
  }
}

async function use(url: string, agent: Agent): Promise<void> {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage]
  await text(response)
  if (response.statusCode !== 200) throw new Error(`${url} was answered ${response.statusCode}`)
}

function isOpen(agent: Agent): boolean {
  return Object.values(agent.freeSockets).some(
    (sockets) => sockets !== undefined && sockets.length > 0,
  )
}
