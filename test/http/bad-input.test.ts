import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import type { RawResponse } from '../support/raw-request.ts'
import { rawRequest } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`

/** What no well-meaning client sends: a clear answer, nothing dialled, nothing stored, nothing broken. */
describe('bad input', () => {
  let registry: FakeRegistry
  let trap: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    trap = await FakeRegistry.start()
    registry.add('library/app', buildImage(), 'v1')
    mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      names: ['mirror.example'],
    })
  })
  afterEach(async () => {
    const alive = await mirror.fetch('/v2/library/app/manifests/v1')
    expect(alive.status).toBe(200)
    await alive.arrayBuffer()
    expect(trap.socketsOpened()).toBe(0)
    await mirror[Symbol.asyncDispose]()
    await Promise.all([registry.close(), trap.close()])
  })

  async function expectRefusal(response: RawResponse, status: number, code: string): Promise<void> {
    expect(response.status).toBe(status)
    expect(response.headers['content-type']).toBe('application/json')
    const { errors } = JSON.parse(response.body.toString()) as {
      errors: { code: string; detail: string }[]
    }
    expect(errors).toHaveLength(1)
    expect(errors[0]?.code).toBe(code)
    expect(errors[0]?.detail.length).toBeGreaterThan(10)
    expect(errors[0]?.detail.length).toBeLessThan(1000)
    expect(response.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(registry.socketsOpened()).toBe(0)
    expect(await Array.fromAsync(mirror.store.list())).toEqual([])
  }

  const raw = (target: string, extra: Partial<Parameters<typeof rawRequest>[0]> = {}) =>
    rawRequest({ port: mirror.port, target, ...extra })

  it.each([
    ['a URL', () => `http://${trap.host()}/`, 400],
    ['an address', () => trap.host(), 404],
    ['a metadata address', () => '169.254.169.254', 404],
    ['a user', () => `docker.io@${trap.host()}`, 400],
    ['a line break', () => 'docker.io%0d%0aX-Injected:%201', 400],
    ['NUL', () => 'docker.io%00', 400],
    ['300 characters', () => 'a'.repeat(300), 400],
    ['a name that looks like one of ours', () => 'docker.io.evil.example', 404],
    ['another name', () => 'notdocker.io', 404],
    ['letters that look alike', () => 'dоcker.io', 400],
  ])('as ns, %s, is refused', async (_, ns, status) => {
    const response = await raw(`/v2/library/app/manifests/v1?ns=${ns()}`)
    const code = status === 404 ? 'NAME_UNKNOWN' : 'NAME_INVALID'
    await expectRefusal(response, status, code)
    expect(response.headers['x-injected']).toBeUndefined()
  })

  it('as ns twice is refused', async () => {
    await expectRefusal(
      await raw('/v2/library/app/manifests/v1?ns=docker.io&ns=docker.io'),
      400,
      'NAME_INVALID',
    )
  })

  it.each([
    '/v2/../etc/passwd',
    '/v2/library/../../livez',
    '/v2/%2e%2e/%2e%2e/livez',
    '/v2/library%2fapp/manifests/v1',
    '/v2//library/app/manifests/v1',
    '/v2/library/app/manifests/v1%00',
    '/v2/library/app\\manifests\\v1',
    '/v2/library/app/manifests/v1#x',
    `/v2/${'a/'.repeat(5000)}manifests/v1`,
  ])('as a path, %s, is refused', async (target) => {
    const response = await raw(target)
    expect(response.status).toBe(400)
    await expectRefusal(response, 400, 'NAME_INVALID')
  })

  it('an absolute target is refused, wherever it points', async () => {
    await expectRefusal(
      await raw(`http://${trap.host()}/v2/library/app/manifests/v1`),
      400,
      'NAME_INVALID',
    )
  })

  it.each([
    [`/v2/library/app/blobs/md5:${'ab'.repeat(16)}`, 'DIGEST_INVALID'],
    [`/v2/library/app/blobs/blake3:${'ab'.repeat(32)}`, 'DIGEST_INVALID'],
    [`/v2/library/app/blobs/${DIGEST.toUpperCase()}`, 'DIGEST_INVALID'],
    [`/v2/library/app/blobs/latest`, 'DIGEST_INVALID'],
    [`/v2/library/app/manifests/sha256:short`, 'DIGEST_INVALID'],
    ['/v2/library/app/manifests/-x', 'MANIFEST_INVALID'],
    ['/v2/Library/App/manifests/v1', 'NAME_INVALID'],
    [`/v2/${'a'.repeat(256)}/manifests/v1`, 'NAME_INVALID'],
  ])('%s is a 400 %s', async (target, code) => {
    await expectRefusal(await raw(target), 400, code)
  })

  it.each(['a b', 'x/y', '[::1', 'a@b', 'localhost,evil', 'a:99999'])(
    'the Host %j is refused',
    async (host) => {
      await expectRefusal(await raw('/v2/', { headers: [['Host', host]] }), 400, 'NAME_INVALID')
    },
  )

  it('two Hosts are refused', async () => {
    const headers = [
      ['Host', 'a'],
      ['Host', 'b'],
    ] as const
    await expectRefusal(await raw('/v2/', { headers }), 400, 'NAME_INVALID')
  })

  it.each([
    ['Content-Length', [['Content-Length', '5']], 'hello'],
    ['chunks', [['Transfer-Encoding', 'chunked']], '5\r\nhello\r\n0\r\n\r\n'],
  ] as const)(
    'a body in %s on a GET is refused and the connection closed',
    async (_, headers, body) => {
      for (const target of ['/v2/library/app/manifests/v1', '/livez']) {
        const response = await raw(target, {
          headers: [...headers, ['Connection', 'keep-alive']],
          body,
        })
        await expectRefusal(response, 400, 'UNSUPPORTED')
        expect(response.headers['connection']).toBe('close')
      }
    },
  )

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])(
    '%s is a 405',
    async (method) => {
      for (const rest of [`blobs/uploads/`, 'manifests/v1', `blobs/${DIGEST}`]) {
        const response = await raw(`/v2/library/app/${rest}`, { method })
        await expectRefusal(response, 405, 'UNSUPPORTED')
        expect(response.headers['allow']).toBe('GET, HEAD')
      }
    },
  )

  it('a push is refused before its body is asked for', async () => {
    const response = await raw('/v2/library/app/blobs/uploads/', {
      method: 'POST',
      headers: [
        ['Expect', '100-continue'],
        ['Content-Length', '1000000000'],
      ],
    })
    await expectRefusal(response, 405, 'UNSUPPORTED')
  })

  it('smuggled requests are refused', async () => {
    const response = await raw('/v2/', {
      method: 'GET',
      headers: [
        ['Content-Length', '5'],
        ['Transfer-Encoding', 'chunked'],
      ],
      body: '0\r\n\r\n',
    })
    expect(response.status).toBe(400)
  })

  it('a header that names __proto__ does no harm', async () => {
    expect((await raw('/v2/', { headers: [['__proto__', 'x']] })).status).toBe(200)
  })

  it.each(['/', '/metrics', '/admin', '/v1/search', '/v3/'])('%s is not here', async (target) => {
    const response = await raw(target)
    await expectRefusal(response, 404, 'UNSUPPORTED')
  })

  it('HTTP/1.1 without Host is refused, HTTP/1.0 without Host is not', async () => {
    const lines = (version: string) => `GET /v2/ HTTP/${version}\r\n\r\n`
    expect(await firstLine(mirror.port, lines('1.1'))).toBe('HTTP/1.1 400 Bad Request')
    expect(await firstLine(mirror.port, lines('1.0'))).toBe('HTTP/1.1 200 OK')
  })

  it.each([
    ['no HTTP', 'hello\r\n\r\n', '400 Bad Request'],
    ['a header line without a colon', 'GET /v2/ HTTP/1.1\r\nHost a\r\n\r\n', '400 Bad Request'],
    [
      '70 kB of headers',
      `GET /v2/ HTTP/1.1\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`,
      '431 Request Header Fields Too Large',
    ],
    ['a tunnel', 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: a\r\n\r\n', '405 Method Not Allowed'],
    ['an address that is none', 'GET /v2/ HTTP/1.1\r\nHost: [1:2]\r\n\r\n', '400 Bad Request'],
  ])('%s is answered in the form of the specification', async (_, request, status) => {
    const answer = await rawAnswer(mirror.port, request)
    expect(answer.split('\r\n')[0]).toBe(`HTTP/1.1 ${status}`)
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))).toHaveProperty('errors')
  })

  it('an expectation that nobody knows is ignored', async () => {
    expect((await raw('/v2/', { headers: [['Expect', 'x']] })).status).toBe(200)
  })

  it('a HEAD is refused without a body', async () => {
    const response = await raw('/v2/library/app/manifests/v1?ns=unknown.example', {
      method: 'HEAD',
    })
    expect(response.status).toBe(404)
    expect(response.body).toHaveLength(0)
    expect(Number(response.headers['content-length'])).toBeGreaterThan(0)
  })

  it('an upstream that lies about a digest is a 502 and nothing is stored', async () => {
    const { manifest } = buildImage()
    registry.inject({
      kind: 'manifest',
      reference: manifest.digest,
      times: 1,
      action: { body: '{"schemaVersion":2}' },
    })
    const response = await mirror.fetch(`/v2/library/app/manifests/${manifest.digest}`)
    expect(response.status).toBe(502)
    expect(await response.json()).toMatchObject({ errors: [{ code: 'UNKNOWN' }] })
    expect(await Array.fromAsync(mirror.store.list())).toEqual([])
  })

  it('a manifest of more than 4 MiB is a 502 and nothing is stored', async () => {
    registry.inject({
      kind: 'manifest',
      times: 1,
      action: { body: Buffer.alloc(4 * 1024 * 1024 + 1, 32) },
    })
    const response = await mirror.fetch('/v2/library/app/manifests/v1')
    expect(response.status).toBe(502)
    await response.arrayBuffer()
    expect(await Array.fromAsync(mirror.store.list())).toEqual([])
  })
})

function rawAnswer(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.end(request)
  return text(socket)
}

async function firstLine(port: number, request: string): Promise<string | undefined> {
  return (await rawAnswer(port, request)).split('\r\n')[0]
}
