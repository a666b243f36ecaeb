import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { openIdleConnections } from '../../../bench/support/idle-connections.ts'

const COUNT = 70

describe('idle connections', () => {
  it('stay open, one for each, until they are closed', async () => {
    await using server = await listen(200)
    const held = await openIdleConnections(server.url, COUNT)
    expect(held.open()).toBe(COUNT)
    expect(server.opened()).toBe(COUNT)
    held.close()
    await expect.poll(() => held.open()).toBe(0)
  })

  it('are not counted any more when the server closes them', async () => {
    await using server = await listen(200)
    const held = await openIdleConnections(server.url, COUNT)
    server.server.closeAllConnections()
    await expect.poll(() => held.open()).toBe(0)
    held.close()
  })

  it('are refused by a server that does not answer with 200', async () => {
    await using server = await listen(503)
    await expect(openIdleConnections(server.url, 1)).rejects.toThrow('503')
  })
})

async function listen(status: number) {
  let opened = 0
  const server: Server = createServer((_, response) => response.writeHead(status).end('{}'))
  server.keepAliveTimeout = 60_000
  server.on('connection', () => (opened += 1))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    opened: () => opened,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
