import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { download, verify } from '../../../bench/support/download.ts'
import { readHead } from '../../../bench/support/response-head.ts'

const BODY = Buffer.alloc(300_000, 'bytes')
const DIGEST = `sha256:${createHash('sha256').update(BODY).digest('hex')}`

async function serve(
  listener: RequestListener,
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${DIGEST}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

const sendAll: RequestListener = (_, response) =>
  response.setHeader('content-length', BODY.length).end(BODY)

describe('clients that download', () => {
  it('count every byte of every download, and when the first one came', async () => {
    await using server = await serve(sendAll)
    const result = await download(server.url, BODY.length, { clients: 3, times: 2 })
    expect(result.receivedBytes).toBe(6 * BODY.length)
    expect(result.firstBytesMs).toHaveLength(6)
    expect(Math.max(...result.firstBytesMs)).toBeLessThanOrEqual(result.totalMs)
    expect(result.unfinished).toBe(0)
  })

  it('tell content that is not what it should be', async () => {
    await using good = await serve(sendAll)
    await expect(verify(good.url, BODY.length)).resolves.toBeUndefined()
    await using wrong = await serve((_, response) => response.end(Buffer.alloc(BODY.length)))
    await expect(verify(wrong.url, BODY.length)).rejects.toThrow(`the content of ${DIGEST} is sha`)
  })

  it('fail for an answer that is no blob', async () => {
    await using server = await serve((_, response) => response.writeHead(503).end('no'))
    const downloading = download(server.url, BODY.length)
    await expect(downloading).rejects.toThrow('the answer was HTTP/1.1 503')
  })

  it('fail for an answer that is cut', async () => {
    await using server = await serve((_, response) => {
      response.setHeader('content-length', BODY.length).write(BODY.subarray(0, 1_000))
      setTimeout(() => response.destroy(), 50)
    })
    const downloading = download(server.url, BODY.length)
    await expect(downloading).rejects.toThrow('ended 299000 bytes too early')
  })

  it('give up at the deadline, and say what they had', async () => {
    await using server = await serve((_, response) => {
      response.setHeader('content-length', BODY.length).write(BODY.subarray(0, 1_000))
    })
    const result = await download(server.url, BODY.length, { clients: 2, deadlineMs: 200 })
    expect(result).toMatchObject({ unfinished: 2, receivedBytes: 2_000 })
    expect(result.totalMs).toBeGreaterThanOrEqual(200)
  })
})

describe('the head of an answer', () => {
  it('ends where the body starts', () => {
    const head = 'HTTP/1.1 200 OK\r\nServer: x\r\nCONTENT-LENGTH: 5\r\n\r\n'
    expect(readHead(`${head}bytes`, 5)).toBe(head.length)
    expect(readHead(head.slice(0, -1), 5)).toBeUndefined()
  })

  it('is an error unless it announces the bytes that are expected', () => {
    expect(() => readHead('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', 5)).toThrow(
      '4 bytes, not 5',
    )
    expect(() => readHead('HTTP/1.1 200 OK\r\n\r\n', 5)).toThrow('undefined bytes')
  })
})
