import type { RequestListener, ServerResponse } from 'node:http'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { StartError } from '../../src/core/start-error.ts'
import { listen } from '../../src/http/server.ts'

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
})
