import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { RequestTarget } from '../../src/http/request-target.ts'
import { readRequestTarget } from '../../src/http/request-target.ts'

const servers: ReturnType<typeof createServer>[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
})

/** What Node's parser makes of the bytes, read as we read it. */
async function receive(head: string): Promise<{ read: RequestTarget; port: number }> {
  const received = Promise.withResolvers<RequestTarget>()
  const server = createServer((incoming, response) => {
    received.resolve(readRequestTarget(incoming))
    response.end()
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  socket.end(`${head}\r\nConnection: close\r\n\r\n`)
  const read = await received.promise
  socket.destroy()
  return { read, port }
}

describe('readRequestTarget', () => {
  it('keeps the target as it came and knows the port', async () => {
    const { read, port } = await receive('GET /v2/a/../%2e%2e//x?ns=Q%3a1 HTTP/1.1\r\nHost: M:5000')
    expect(read).toEqual({
      target: '/v2/a/../%2e%2e//x?ns=Q%3a1',
      host: ['M:5000'],
      ociNamespace: [],
      ociRefName: [],
      localPort: port,
    })
  })

  it('keeps every value of a header that is given twice', async () => {
    const { read } = await receive(
      'GET http://evil.example/v2/ HTTP/1.1\r\nHost: a\r\nHOST: b\r\n' +
        'OCI-Namespace: docker.io\r\noci-namespace: quay.io\r\nOci-Ref-Name: docker.io/library/x\r\n' +
        '__proto__: x',
    )
    expect(read.target).toBe('http://evil.example/v2/')
    expect(read.host).toEqual(['a', 'b'])
    expect(read.ociNamespace).toEqual(['docker.io', 'quay.io'])
    expect(read.ociRefName).toEqual(['docker.io/library/x'])
  })
})
