import type { RequestListener } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Log } from '../../src/core/log.ts'
import { createAdmin } from '../../src/http/admin.ts'
import type { HttpServer } from '../../src/http/server.ts'
import { listen } from '../../src/http/server.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage()
const JSON_TYPE = { 'content-type': 'application/json' }

let registry: FakeRegistry
let mirror: TestMirror
let server: HttpServer
let url: string
const logged: object[] = []

beforeEach(async () => {
  logged.length = 0
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, '1')
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  await (await mirror.fetch('/v2/library/app/manifests/1')).arrayBuffer()
  await mirror.settle()
  server = await listen({ host: '127.0.0.1', port: 0 }, admin())
  url = `http://127.0.0.1:${server.port}`
})
afterEach(async () => {
  await server.drain(0)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

function admin(): RequestListener {
  const ignore = () => {}
  const log: Log = {
    debug: ignore,
    info: (fields) => logged.push(fields),
    warn: ignore,
    error: ignore,
  }
  return createAdmin({
    operations: mirror.operations,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'up 1\n' }),
    data: mirror.dir,
    names: new Set(['mirror.lan']),
    log,
  })
}

const post = (path: string, body: unknown, headers: Record<string, string> = JSON_TYPE) =>
  fetch(`${url}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
const answer = async (response: Response) => [response.status, await response.json()] as const

describe('the admin listener', () => {
  it('tells who it is, that it lives, and its metrics', async () => {
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n')
    const metrics = await fetch(`${url}/metrics`)
    expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4')
    expect(await metrics.text()).toBe('up 1\n')
    expect(await (await fetch(`${url}/api/v1/status`)).json()).toEqual({
      name: 'oci-mirror',
      data: mirror.dir,
    })
  })

  it.each(['/metrics', '/healthz', '/api/v1/stats', '/api/v1/status', '/v2/../api/v1/stats'])(
    'has nothing of it on the port of clients: %s',
    async (target) => {
      const { status } = await rawRequest({ port: mirror.port, target })
      expect([400, 404]).toContain(status)
    },
  )

  it.each([
    ['evil.example', 403],
    ['evil.example:5001', 403],
    ['127.0.0.1.evil.example', 403],
    ['mirror.lan', 200],
    ['MIRROR.lan:1234', 200],
    ['localhost:5001', 200],
    ['192.0.2.1:5001', 200],
    ['[::1]:5001', 200],
    ['a b', 400],
  ])('answers a request whose Host is %s with %i', async (host, status) => {
    const answered = await rawRequest({
      port: server.port,
      target: '/api/v1/stats',
      headers: [['Host', host]],
    })
    expect(answered.status).toBe(status)
  })

  it.each([
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['plain text', { 'content-type': 'text/plain' }, 415],
    ['another site', { ...JSON_TYPE, 'sec-fetch-site': 'cross-site' }, 403],
  ])('takes no change from %s', async (_, headers, status) => {
    const response = await post('rm', { references: ['app:1'] }, headers)
    expect(response.status).toBe(status)
    expect((await mirror.maintenance.images({})).items).toHaveLength(1)
  })

  it('tells a page of another site nothing, not even by work that it could see taking time', async () => {
    const headers = { 'sec-fetch-site': 'cross-site' }
    for (const path of ['stats', 'images', 'repositories', 'blobs', 'image?reference=app:1']) {
      const { status } = await fetch(`${url}/api/v1/${path}`, { headers })
      expect([path, status]).toEqual([path, 403])
    }
    expect((await fetch(`${url}/healthz`, { headers })).status).toBe(200)
    const ours = { headers: { 'sec-fetch-site': 'same-origin' } }
    expect((await fetch(`${url}/api/v1/stats`, ours)).status).toBe(200)
  })

  it.each([
    ['rm', {}, /"references" has to be a list of 1 to 1000 texts/],
    ['rm', { references: ['app:1'], dryrun: true }, /no field "dryrun"/],
    ['rm', { references: ['app:1'], dryRun: 'yes' }, /"dryRun" has to be true or false/],
    ['rm', { references: 'app:1' }, /"references" has to be a list/],
    ['verify', { rate: 0 }, /"rate" has to be a number above 0/],
    ['hold', { reference: 3 }, /"reference" has to be a text/],
    ['gc', [], /not a JSON object/],
  ])('refuses %s with %j, and does nothing', async (path, body, detail) => {
    const [status, problem] = await answer(await post(path, body))
    expect(status).toBe(400)
    expect(problem).toMatchObject({ problem: 'invalid', detail: expect.stringMatching(detail) })
    expect((await mirror.maintenance.images({})).items).toHaveLength(1)
  })

  it('refuses a body that is no JSON, or too long', async () => {
    const send = (body: string) =>
      fetch(`${url}/api/v1/gc`, { method: 'POST', headers: JSON_TYPE, body })
    expect((await send('{')).status).toBe(400)
    expect((await send(' '.repeat(2 * 1024 * 1024))).status).toBe(413)
  })

  it('gives each refusal its status and sentence', async () => {
    const show = (reference: string) => fetch(`${url}/api/v1/image?reference=${reference}`)
    expect(await answer(await show('nope'))).toMatchObject([404, { problem: 'unknown' }])
    expect(await answer(await show('A'))).toMatchObject([400, { problem: 'invalid' }])
    const glob = await post('rm', { references: ['*nothing*'] })
    expect(await answer(glob)).toMatchObject([404, { problem: 'unknown' }])
    expect((await fetch(`${url}/api/v1/image`)).status).toBe(400)
    expect((await fetch(`${url}/api/v2`)).status).toBe(404)
    expect((await post('release', { reference: 'app:1' })).status).toBe(409)
  })

  it('changes what it is asked to, and logs that, but no plan', async () => {
    const plan = await answer(await post('rm', { references: ['app:1'], dryRun: true }))
    expect(plan).toMatchObject([200, { dryRun: true, images: [{ manifests: 1 }] }])
    expect(logged).toEqual([])
    expect((await post('rm', { references: ['app:1'] })).status).toBe(200)
    expect(logged).toEqual([{ operation: 'rm', request: '{"references":["app:1"]}' }])
    expect((await mirror.maintenance.images({})).items).toEqual([])
  })

  it('tells the progress of a verification line by line, and a refusal in the last one', async () => {
    const lines = async (body: object) =>
      (await (await post('verify', body)).text())
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    const told = await lines({})
    expect(told.length).toBeGreaterThan(1)
    expect(told[0]).toMatchObject({ progress: { totalBlobs: 1 } })
    expect(told.at(-1)).toEqual({
      report: { blobs: 1, bytes: IMAGE.manifest.size, findings: [] },
    })
    expect(await lines({ references: ['nope'] })).toMatchObject([{ error: { problem: 'unknown' } }])
  })

  it('stops a verification when whoever asked for it leaves', async () => {
    const controller = new AbortController()
    const response = await fetch(`${url}/api/v1/verify`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ rate: 0.01 }),
      signal: controller.signal,
    })
    expect(response.status).toBe(200)
    expect((await post('gc', {})).status).toBe(409)
    controller.abort()
    await expect.poll(async () => (await post('gc', {})).status).toBe(200)
  })

  it('names its key when its port is taken', async () => {
    const place = { host: '127.0.0.1', port: server.port, key: 'admin.listen' }
    await expect(listen(place, admin())).rejects.toThrow(/in use; .* \(admin\.listen\)$/)
  })
})
