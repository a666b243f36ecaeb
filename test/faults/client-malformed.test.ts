import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { RawExchange } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const MIB = 1024 * 1024
const image = buildImage({ seed: 'malformed' })
const layer = buildBlob('malformed', 16 * MIB)
const MANIFEST = '/v2/library/app/manifests/v1'
const LAYER = `/v2/library/app/blobs/${layer.digest}`

/** What no client that means well sends, or not in this way. */
describe('a client', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', image, 'v1')
    registry.addBlob('library/app', layer)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  })
  afterEach(async () => {
    await expectIntact(mirror, { retry: [MANIFEST, LAYER] })
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  const get = (target: string, ...fields: readonly string[]) =>
    [`GET ${target} HTTP/1.1`, 'Host: mirror', ...fields, '', ''].join('\r\n')

  it('that sends its requests in one piece gets the answers in their order, each whole', async () => {
    const socket = connect(mirror.port, '127.0.0.1')
    socket.write(get(LAYER) + get(MANIFEST) + get(LAYER, 'Connection: close'))
    const received = await buffer(socket)
    const [first, second, third] = splitAnswers(received)
    expect(first?.equals(layer.bytes)).toBe(true)
    expect(second?.equals(image.manifest.bytes)).toBe(true)
    expect(third?.equals(layer.bytes)).toBe(true)
    expect(registry.count({ kind: 'blob' })).toBe(1)
  })

  it('that leaves with its requests unanswered leaves nothing open', async () => {
    const target = LAYER
    const headers = [['Connection', 'keep-alive']] as const
    const client = await RawExchange.open({ port: mirror.port, target, headers })
    client.say(get(MANIFEST) + get(LAYER))
    await client.read(1)
    client.leave('reset')
    await expect.poll(() => mirror.records.length).toBe(3)
    await expect.poll(() => mirror.openFiles()).toBe(0)
  })

  it('that sends nonsense behind a request finds no refusal among the bytes of the answer', async () => {
    const headers = [['Connection', 'keep-alive']] as const
    const client = await RawExchange.open({ port: mirror.port, target: LAYER, headers })
    let received = await client.read(1)
    client.say('nonsense\r\n\r\n')
    const { body, end } = await client.rest()
    received = Buffer.concat([received, body])
    expect(end).not.toBe('complete')
    expect(received.equals(layer.bytes.subarray(0, received.length))).toBe(true)
  })

  it.each([
    ['GET', '400'],
    ['PUT', '405'],
  ])(
    'that sends a gigabyte with a %s is refused with %s, and nobody reads it',
    async (method, status) => {
      const socket = connect(mirror.port, '127.0.0.1')
      let answer = ''
      socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
      // It breaks under a write, and that may cost us the answer.
      socket.on('error', () => undefined)
      const head = `${method} ${LAYER} HTTP/1.1\r\nHost: mirror\r\nTransfer-Encoding: chunked`
      socket.write(`${head}\r\n\r\n`)
      const piece = Buffer.from(`100000\r\n${'a'.repeat(MIB)}\r\n`)
      let sent = 0
      while (sent < 1024 && !socket.destroyed) {
        if (!socket.write(piece)) await sleep(1)
        sent += 1
      }
      // What the kernel holds of a connection, and not a gigabyte.
      expect(sent).toBeLessThan(200)
      expect(['', `HTTP/1.1 ${status}`]).toContain(answer.slice(0, 12))
      expect(registry.requests).toEqual([])
    },
  )

  it('that waits to be told to go on is told at once that it need not', async () => {
    const socket = connect(mirror.port, '127.0.0.1')
    const fields = 'Content-Length: 1000000000\r\nExpect: 100-continue'
    socket.write(`PUT ${LAYER} HTTP/1.1\r\nHost: mirror\r\n${fields}\r\n\r\n`)
    const text = String(await buffer(socket))
    expect(text).toMatch(/^HTTP\/1\.1 405 /)
    expect(text).not.toContain(' 100 ')
    expect(registry.requests).toEqual([])
  })
})

/** The bodies of answers that all say their length. */
function splitAnswers(received: Buffer): readonly Buffer[] {
  const bodies: Buffer[] = []
  for (let at = 0; at < received.length;) {
    const start = received.indexOf('\r\n\r\n', at) + 4
    const head = received.toString('latin1', at, start)
    const [, length = '0'] = /^content-length: (\d+)\r$/im.exec(head) ?? []
    bodies.push(received.subarray(start, start + Number(length)))
    at = start + Number(length)
  }
  return bodies
}
