import { request as httpsRequest } from 'node:https'
import { afterEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { TokenAuthOptions } from './fake-auth.ts'
import { FakeRegistry } from './fake-registry.ts'
import type { FaultAction } from './fault.ts'
import { buildBlob, buildHugeBlob, buildImage, buildIndex } from './images.ts'
import type { RawResponse } from './raw-request.ts'
import { RawExchange, rawRequest } from './raw-request.ts'

const opened: FakeRegistry[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map((registry) => registry.close()))
})

async function start(options?: Parameters<typeof FakeRegistry.start>[0]): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options)
  opened.push(registry)
  return registry
}

function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<RawResponse> {
  const { port, pathname, search } = new URL(url)
  const target = pathname + search
  return rawRequest({ port: Number(port), target, headers: Object.entries(headers) })
}

const IMAGE = buildImage({ seed: 'fake' })
const BLOB = buildBlob('blob', 100_000)
const BYTES = Buffer.from(BLOB.bytes)
const BLOB_PATH = `/v2/library/x/blobs/${BLOB.digest}`

const users = { ann: 'secret' }

async function token(registry: FakeRegistry, scope: string, login?: string) {
  const headers = login === undefined ? {} : { authorization: `Basic ${btoa(login)}` }
  const response = await get(`${registry.url}/token?service=fake&scope=${scope}`, headers)
  const body = JSON.parse(response.body.toString()) as Readonly<Record<string, string>>
  return { status: response.status, bearer: { authorization: `Bearer ${body['token']}` } }
}

async function guarded(options: Partial<TokenAuthOptions> = {}, now = Date.now) {
  const registry = await start({ auth: { kind: 'token', ...options }, now })
  registry.addBlob('library/x', BLOB)
  registry.addBlob('library/y', BLOB)
  return registry
}

async function withFault(action: FaultAction): Promise<RawResponse> {
  const registry = await start()
  registry.addBlob('library/x', BLOB)
  registry.inject({ kind: 'blob', action })
  return get(registry.url + BLOB_PATH)
}

describe('content', () => {
  it('serves manifests by tag and digest, with the type and digest of each', async () => {
    const registry = await start()
    const index = buildIndex([IMAGE, buildImage({ seed: 'other' })])
    registry.add('library/x', index, 'v1')
    for (const [reference, { mediaType, bytes, digest }] of [
      ['v1', index.manifest],
      [index.manifest.digest, index.manifest],
      [IMAGE.manifest.digest, IMAGE.manifest],
    ] as const) {
      const response = await get(`${registry.url}/v2/library/x/manifests/${reference}`)
      expect(response).toMatchObject({ status: 200, end: 'complete' })
      expect(response.headers).toMatchObject({
        'content-type': mediaType,
        'docker-content-digest': digest,
      })
      expect(response.body).toEqual(Buffer.from(bytes))
    }
    expect((await get(`${registry.url}/v2/library/y/manifests/v1`)).status).toBe(404)
  })

  it.each([
    ['bytes=10-19', 206, 'bytes 10-19/100000', BYTES.subarray(10, 20)],
    ['bytes=99990-', 206, 'bytes 99990-99999/100000', BYTES.subarray(99_990)],
    ['bytes=-5', 206, 'bytes 99995-99999/100000', BYTES.subarray(99_995)],
    ['bytes=0-1,5-6', 200, undefined, BYTES],
  ] as const)('answers %s with %i', async (range, status, contentRange, body) => {
    const registry = await start()
    registry.addBlob('library/x', BLOB)
    const response = await get(registry.url + BLOB_PATH, { range })
    expect(response.status).toBe(status)
    expect(response.headers['content-range']).toBe(contentRange)
    expect(response.body.equals(body)).toBe(true)
  })

  it('answers a range behind the end with 416 and the size', async () => {
    const registry = await start()
    registry.addBlob('library/x', BLOB)
    const response = await get(registry.url + BLOB_PATH, { range: 'bytes=100000-' })
    expect(response.status).toBe(416)
    expect(response.headers['content-range']).toBe('bytes */100000')
  })

  it('makes a huge blob while it is read, from any position', async () => {
    const registry = await start()
    const huge = buildHugeBlob('huge', 3_000_001)
    registry.addBlob('library/x', huge)
    const url = `${registry.url}/v2/library/x/blobs/${huge.digest}`
    const { body } = await get(url)
    expect(digestOf(body)).toBe(huge.digest)
    const part = await get(url, { range: 'bytes=1000003-2000010' })
    expect(part.body.equals(body.subarray(1_000_003, 2_000_011))).toBe(true)
    expect(registry.bytesSent('blob')).toBe(3_000_001 + 1_000_008)
  })

  it('pages tags with n and last', async () => {
    const registry = await start()
    for (const tag of ['c', 'a', 'b']) registry.add('library/x', IMAGE, tag)
    const first = await get(`${registry.url}/v2/library/x/tags/list?n=2`)
    expect(JSON.parse(first.body.toString())).toEqual({ name: 'library/x', tags: ['a', 'b'] })
    expect(first.headers['link']).toBe('</v2/library/x/tags/list?n=2&last=b>; rel="next"')
    const second = await get(`${registry.url}/v2/library/x/tags/list?n=2&last=b`)
    expect(JSON.parse(second.body.toString())).toEqual({ name: 'library/x', tags: ['c'] })
  })

  it('speaks TLS with a certificate that its ca verifies', async () => {
    const registry = await start({ tls: true })
    const options = { ...(registry.ca === undefined ? {} : { ca: registry.ca }), agent: false }
    const status = await new Promise((resolve, reject) => {
      const sent = httpsRequest(`${registry.url}/v2/`, options, (response) => {
        response.resume().on('end', () => resolve(response.statusCode))
      })
      sent.on('error', reject).end()
    })
    expect(status).toBe(200)
  })
})

describe('token auth', () => {
  it('names realm, service and scope in its challenge', async () => {
    const registry = await guarded()
    const { status, headers } = await get(registry.url + BLOB_PATH)
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toBe(
      `Bearer realm="${registry.url}/token",service="fake",scope="repository:library/x:pull"`,
    )
  })

  it('accepts a token for the repositories of its scope only', async () => {
    const registry = await guarded()
    const { bearer } = await token(registry, 'repository:library/x:pull')
    expect((await get(registry.url + BLOB_PATH, bearer)).status).toBe(200)
    const other = await get(registry.url + BLOB_PATH.replace('/x/', '/y/'), bearer)
    expect(other.status).toBe(401)
    expect(other.headers['www-authenticate']).toContain('error="insufficient_scope"')
  })

  it('leaves out of a token what the user may not pull', async () => {
    const registry = await guarded({ users, allow: (user, name) => name === `library/${user}` })
    const { bearer } = await token(registry, 'repository:library/x:pull', 'ann:secret')
    expect((await get(registry.url + BLOB_PATH, bearer)).status).toBe(401)
  })

  it('refuses a token that has expired or was revoked', async () => {
    let now = 0
    const registry = await guarded({ expiresIn: 60 }, () => now)
    const first = await token(registry, 'repository:library/x:pull')
    now = 60_000
    const expired = await get(registry.url + BLOB_PATH, first.bearer)
    expect(expired.headers['www-authenticate']).toContain('error="invalid_token"')
    const second = await token(registry, 'repository:library/x:pull')
    registry.revokeTokens()
    expect((await get(registry.url + BLOB_PATH, second.bearer)).status).toBe(401)
  })

  it('gives tokens to users with their password, and to nobody else', async () => {
    const registry = await guarded({ users })
    const scope = 'repository:library/x:pull'
    expect((await token(registry, scope)).status).toBe(401)
    expect((await token(registry, scope, 'ann:wrong')).status).toBe(401)
    expect((await token(registry, scope, 'constructor:x')).status).toBe(401)
    expect((await token(registry, scope, 'ann:secret')).status).toBe(200)
  })
})

describe('redirects', () => {
  it('sends blobs to a second server that refuses Authorization, and old signatures', async () => {
    let now = 0
    const registry = await start({ redirect: { expiresIn: 10 }, now: () => now })
    registry.addBlob('library/x', BLOB)
    const { status, headers } = await get(registry.url + BLOB_PATH)
    expect(status).toBe(307)
    const location = headers['location'] ?? ''
    expect(new URL(location).host).toBe(registry.host('cdn'))
    expect((await get(location)).body).toEqual(Buffer.from(BLOB.bytes))
    expect((await get(location, { authorization: 'Bearer x' })).status).toBe(400)
    expect((await get(location.replace(/.$/, '~'))).status).toBe(403)
    now = 10_000
    expect((await get(location)).status).toBe(403)
    expect(registry.count({ kind: 'blob', server: 'registry' })).toBe(1)
    expect(registry.count({ kind: 'blob', server: 'cdn' })).toBe(4)
  })

  it('does not redirect to what it does not have', async () => {
    const registry = await start({ redirect: { to: 'relative' } })
    registry.add('library/x', IMAGE)
    expect((await get(registry.url + BLOB_PATH)).status).toBe(404)
    registry.addBlob('library/x', BLOB)
    const { headers } = await get(registry.url + BLOB_PATH)
    expect((await get(registry.url + headers['location'])).body.length).toBe(BLOB.size)
  })
})

describe('faults', () => {
  it.each([
    ['a reset after 70,000 bytes', { cut: { after: 70_000, how: 'reset' } }, 70_000, 'reset'],
    ['a FIN after 7 bytes', { cut: { after: 7, how: 'fin' } }, 7, 'short'],
    ['a FIN in a chunked body', { length: 'chunked', cut: { after: 9, how: 'fin' } }, 9, 'short'],
    ['a length that is too large', { length: 100_001 }, 100_000, 'short'],
    ['a length that is too small', { length: 99_999 }, 99_999, 'complete'],
    [
      'a short body without length',
      { length: 'close', cut: { after: 5, how: 'fin' } },
      5,
      'complete',
    ],
    ['chunks', { length: 'chunked' }, 100_000, 'complete'],
    ['a drip', { body: 'abcdef', drip: { bytes: 2, everyMs: 1 } }, 6, 'complete'],
  ] as const)('can send %s', async (_, action, bytes, end) => {
    const response = await withFault(action)
    expect([response.body.length, response.end]).toEqual([bytes, end])
  })

  it('can send wrong bytes of the right length', async () => {
    const { body } = await withFault({ corrupt: 'last' })
    const right = Buffer.from(BLOB.bytes)
    expect(body.subarray(0, -1)).toEqual(right.subarray(0, -1))
    expect(body.at(-1)).not.toBe(right.at(-1))
  })

  it('can send raw bytes before, after and instead of an answer', async () => {
    const instead = await withFault({ raw: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi' })
    expect(instead.body.toString()).toBe('hi')
    const before = await withFault({ rawBefore: 'HTTP/1.1 103 Early Hints\r\n\r\n' })
    expect(before.status).toBe(103)
    const registry = await start()
    registry.inject({ kind: 'ping', action: { rawAfter: { bytes: 'EXTRA' } } })
    const headers = [['Connection', 'keep-alive']] as const
    const port = Number(new URL(registry.url).port)
    const exchange = await RawExchange.open({ port, target: '/v2/', headers })
    expect((await exchange.read(7)).toString()).toBe('{}EXTRA')
    exchange.leave()
  })

  it('can send what Node refuses to send in a header', async () => {
    const challenges = ['Bearer realm="\u001b[31m"', 'Bearer realm="\u0000"']
    const registry = await start({ auth: { kind: 'custom', challenges } })
    const challenged = await get(registry.url + BLOB_PATH)
    expect(challenged).toMatchObject({ status: 401, end: 'complete' })
    expect(challenged.headers['www-authenticate']).toBe(challenges.join(', '))
    await expect.poll(() => registry.openSockets()).toBe(0)
    expect(registry.count({ status: 401 })).toBe(1)
  })

  it('keeps sending zeros until the client of an endless body leaves', async () => {
    const registry = await start()
    registry.inject({ kind: 'token', action: { endless: true, status: 200 } })
    const port = Number(new URL(registry.url).port)
    const exchange = await RawExchange.open({ port, target: '/token' })
    expect((await exchange.read(5_000_000)).length).toBeGreaterThanOrEqual(5_000_000)
    exchange.leave()
  })

  it('happens in order, as often as it says, to those that match', async () => {
    const registry = await start()
    registry.addBlob('library/x', BLOB)
    registry.inject({ kind: 'blob', skip: 1, times: 1, action: { status: 500 } })
    const last = registry.inject({ kind: 'blob', ranged: false, action: { status: 429 } })
    const url = registry.url + BLOB_PATH
    expect((await get(url, { range: 'bytes=0-0' })).status).toBe(206)
    expect([(await get(url)).status, (await get(url)).status]).toEqual([500, 429])
    expect(last.hits).toBe(1)
    last.remove()
    expect((await get(url)).status).toBe(200)
  })

  it('is a 401 with its challenge where there is one, and without elsewhere', async () => {
    const registry = await guarded()
    const { bearer } = await token(registry, 'repository:library/x:pull')
    registry.inject({ action: { status: 401 } })
    const refused = await get(registry.url + BLOB_PATH, bearer)
    expect(refused.headers['www-authenticate']).toContain(`realm="${registry.url}/token"`)
    const server = await get(`${registry.url}/token?service=fake`)
    expect([refused.status, server.status]).toEqual([401, 401])
    expect(server.headers['www-authenticate']).toBeUndefined()
  })

  it('does not happen to a request that is challenged', async () => {
    const registry = await start({ auth: { kind: 'basic', users: { ann: 'secret' } } })
    registry.addBlob('library/x', BLOB)
    registry.inject({ kind: 'blob', times: 1, action: { status: 503 } })
    const url = registry.url + BLOB_PATH
    expect((await get(url)).status).toBe(401)
    expect((await get(url, { authorization: `Basic ${btoa('ann:secret')}` })).status).toBe(503)
  })
})

describe('lifetime', () => {
  it('holds a body at a gate until it is opened', async () => {
    const registry = await start()
    registry.addBlob('library/x', BLOB)
    const gate = registry.gate({ kind: 'blob', after: 40_000 })
    const port = Number(new URL(registry.url).port)
    const exchange = await RawExchange.open({ port, target: BLOB_PATH })
    await gate.reached
    expect((await exchange.read(40_000)).length).toBe(40_000)
    expect(registry.bytesSent('blob')).toBe(40_000)
    gate.open()
    expect((await exchange.read(60_000)).length).toBe(60_000)
    exchange.leave()
  })

  it('vanishes and comes back on the same port', async () => {
    const registry = await start()
    const { url } = registry
    await registry.stop()
    await expect(get(`${url}/v2/`)).rejects.toThrow('ECONNREFUSED')
    await registry.restart()
    expect((await get(`${url}/v2/`)).status).toBe(200)
  })

  it('leaves nothing open, although an answer stalls and a gate is closed', async () => {
    const registry = await start()
    registry.addBlob('library/x', BLOB)
    registry.inject({ kind: 'ping', action: { stall: true } })
    const gate = registry.gate({ kind: 'blob', after: 1 })
    const port = Number(new URL(registry.url).port)
    const stalled = await RawExchange.open({ port, target: '/v2/' })
    const held = await RawExchange.open({ port, target: BLOB_PATH })
    await gate.reached
    expect(registry.openSockets()).toBe(2)
    await registry.close()
    expect(registry.openSockets()).toBe(0)
    for (const exchange of [stalled, held]) exchange.leave()
  })
})
