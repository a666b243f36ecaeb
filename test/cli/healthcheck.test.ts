import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { makeTempDir } from '../support/temp-dir.ts'
import type { Outcome } from './fake-terminal.ts'
import { runHere } from './fake-terminal.ts'

/** Asks a server that answers like this; `listen` is given its port. */
async function check(
  answer: RequestListener,
  listen = (port: number) => `127.0.0.1:${port}`,
): Promise<Outcome & { readonly port: number }> {
  await using dir = await makeTempDir()
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  try {
    return {
      ...(await runHere(['healthcheck'], dir.path, { OCI_MIRROR_LISTEN: listen(port) })),
      port,
    }
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

describe('healthcheck', () => {
  it('is content with a mirror that is ready', async () => {
    const seen: (string | undefined)[] = []
    const outcome = await check((request, response) => {
      seen.push(request.url)
      response.end('ok\n')
    })
    expect(outcome).toMatchObject({ code: 0, stdout: 'ready\n', stderr: '' })
    expect(seen).toEqual(['/readyz'])
  })

  it.each([':PORT', '0.0.0.0:PORT', 'PORT'])('finds one that listens on %s', async (form) => {
    const outcome = await check(
      (_request, response) => response.end(),
      (port) => form.replace('PORT', String(port)),
    )
    expect(outcome.code).toBe(0)
  })

  it('says why one is not ready', async () => {
    const outcome = await check((_request, response) => {
      response.writeHead(503).end('not ready: no room\n')
    })
    expect(outcome).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `not ready: http://127.0.0.1:${outcome.port}/readyz: answered 503: not ready: no room\n`,
    })
  })

  it('says that there is none', async () => {
    await using dir = await makeTempDir()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const env = { OCI_MIRROR_LISTEN: `127.0.0.1:${port}` }
    expect(await runHere(['healthcheck'], dir.path, env)).toEqual({
      code: 1,
      stdout: '',
      stderr: `not ready: http://127.0.0.1:${port}/readyz: nothing listens there\n`,
    })
  })

  it.each([
    ['says nothing', () => undefined],
    ['stops in the middle', (_: unknown, response) => void response.writeHead(200).write('o')],
  ] satisfies [string, RequestListener][])(
    'does not wait for one that %s',
    async (_title, answer) => {
      const outcome = await check(answer)
      expect(outcome.code).toBe(1)
      expect(outcome.stderr).toContain('/readyz: no answer within 3 s\n')
    },
  )
})
