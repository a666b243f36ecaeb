import type { RequestListener, ServerResponse } from 'node:http'
import { Agent, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { StartError } from '../../src/core/start-error.ts'
import { ADMIN_LIMITS, listen, SERVER_LIMITS } from '../../src/http/server.ts'

const ANYWHERE = { host: '127.0.0.1', port: 0 }

/** A listener whose answers end when the test says so. */
function held(): { readonly listener: RequestListener; readonly responses: ServerResponse[] } {
  const responses: ServerResponse[] = []
  return { responses, listener: (_, response) => responses.push(response) }
}

function ask(port: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', reject)
    })
    sent.on('error', reject).end()
  })
}

describe('the server', () => {
  it('lets an answer finish when it drains, and then closes its connection at once', async () => {
    const { listener, responses } = held()
    const server = await listen(ANYWHERE, listener)
    const agent = new Agent({ keepAlive: true })
    const asked = ask(server.port, agent)
    await expect.poll(() => responses.length).toBe(1)
    const drained = server.drain(10_000)
    responses[0]?.end('done')
    expect(await asked).toBe(200)
    await drained
    agent.destroy()
  }, 5_000)

  it('does not wait for connections that never asked for anything', async () => {
    const server = await listen(ANYWHERE, () => {})
    const silent = connect(server.port, '127.0.0.1')
    await new Promise((resolve) => silent.once('connect', resolve))
    await sleep(20)
    const started = performance.now()
    await server.drain(10_000)
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  it('cuts answers that outlast the time for draining', async () => {
    const { listener, responses } = held()
    const server = await listen(ANYWHERE, listener)
    const agent = new Agent()
    const asked = ask(server.port, agent).catch((reason: unknown) => reason)
    await expect.poll(() => responses.length).toBe(1)
    await server.drain(20)
    expect(await asked).toBeInstanceOf(Error)
  })

  it('names the address and what to do when the port is in use', async () => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => squatter.once('listening', resolve))
    const address = squatter.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const failure: unknown = await listen({ host: '127.0.0.1', port }, () => {}).catch(
      (reason: unknown) => reason,
    )
    expect(failure).toBeInstanceOf(StartError)
    expect(failure).toHaveProperty(
      'message',
      `cannot listen on 127.0.0.1:${port}: the port is in use; stop what uses it or choose another (server.listen)`,
    )
    squatter.close()
  })

  it('names an address that this machine does not have', async () => {
    await expect(listen({ host: '203.0.113.7', port: 0 }, () => {})).rejects.toThrow(
      /cannot listen on 203\.0\.113\.7:0: this machine has no such address/,
    )
  })

  it('closes connections beyond its limit, says so once, and serves again when there is room', async () => {
    const refused: number[] = []
    const { listener, responses } = held()
    const hooks = { onRefused: (connections: number) => refused.push(connections) }
    const server = await listen(ANYWHERE, listener, hooks, { ...SERVER_LIMITS, connections: 2 })
    const agent = new Agent()
    const first = [ask(server.port, agent), ask(server.port, agent)]
    await expect.poll(() => responses.length).toBe(2)
    for (let n = 0; n < 3; n += 1) {
      await expect(ask(server.port, agent)).rejects.toThrow(/ECONNRESET|socket hang up/)
    }
    expect(refused).toEqual([1])
    for (const response of responses) response.end()
    expect(await Promise.all(first)).toEqual([200, 200])
    const later = ask(server.port, agent)
    await expect.poll(() => responses.length).toBe(3)
    responses[2]?.end()
    expect(await later).toBe(200)
    await server.drain(0)
  })

  it('answers many who come at the same moment, and does not share its port with another server', async () => {
    const server = await listen(ANYWHERE, (_, response) => response.end('ok'))
    const agents = Array.from({ length: 100 }, () => new Agent())
    const statuses = await Promise.all(agents.map((agent) => ask(server.port, agent)))
    expect(new Set(statuses)).toEqual(new Set([200]))
    const same = { host: ANYWHERE.host, port: server.port }
    await expect(listen(same, () => {})).rejects.toThrow(/the port is in use/)
    for (const agent of agents) agent.destroy()
    await server.drain(0)
  })

  it.each([
    ['a head that comes byte by byte', 'GET /v2/ HTTP/1.1\r\nHost: a\r\nX: '],
    ['no head at all', ''],
  ])('ends a connection with %s', async (_, beginning) => {
    const limits = { ...SERVER_LIMITS, head: 200, check: 20 }
    const server = await listen(ANYWHERE, () => {}, {}, limits)
    const socket = connect(server.port, '127.0.0.1')
    socket.write(beginning)
    const drip = setInterval(() => socket.writable && beginning !== '' && socket.write('x'), 10)
    const started = performance.now()
    const answer = await text(socket)
    clearInterval(drip)
    expect(performance.now() - started).toBeGreaterThan(150)
    expect(answer).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
    expect(answer).toContain('the request did not arrive in time')
    await server.drain(0)
  })

  it('lets a connection rest between two requests for longer than a head may take', async () => {
    const limits = { ...SERVER_LIMITS, head: 100, check: 20 }
    const server = await listen(ANYWHERE, (_, response) => response.end('ok'), {}, limits)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    expect(await ask(server.port, agent)).toBe(200)
    await sleep(300)
    expect(await ask(server.port, agent)).toBe(200)
    agent.destroy()
    await server.drain(0)
  })

  it('takes a body for as long as it comes from an operator, and not from a client', async () => {
    const reader: RequestListener = (incoming, response) => {
      incoming.resume().on('end', () => response.end('ok'))
    }
    const quick = { head: 100, check: 20 }
    const send = async (port: number) => {
      const socket = connect(port, '127.0.0.1')
      socket.write('PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\na')
      await sleep(400)
      if (socket.writable) socket.write('b')
      return text(socket)
    }
    const operators = await listen(ANYWHERE, reader, {}, { ...ADMIN_LIMITS, ...quick })
    expect(await send(operators.port)).toMatch(/^HTTP\/1\.1 200 OK/)
    await operators.drain(0)
    const limits = { ...SERVER_LIMITS, ...quick, request: 100 }
    const clients = await listen(ANYWHERE, reader, {}, limits)
    expect(await send(clients.port)).toBe('')
    await clients.drain(0)
  })

  it('cuts an answer on which nothing moves, but none that an operator waits for', async () => {
    const slowly: RequestListener = (_, response) => void sleep(400).then(() => response.end('ok'))
    const clients = await listen(ANYWHERE, slowly, {}, { ...SERVER_LIMITS, progress: 100 })
    await expect(ask(clients.port, new Agent())).rejects.toThrow('socket hang up')
    await clients.drain(0)
    expect(SERVER_LIMITS.progress).toBe(60_000)
    const operators = await listen(ANYWHERE, slowly, {}, ADMIN_LIMITS)
    expect(ADMIN_LIMITS.progress).toBe(0)
    expect(await ask(operators.port, new Agent())).toBe(200)
    await operators.drain(0)
  })
})
