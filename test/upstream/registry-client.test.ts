import { afterEach, describe, expect, it } from 'vitest'
import type { Upstream } from '../../src/core/upstream.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { UpstreamRequestEvent } from '../../src/upstream/options.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { collect, failureOf, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const BLOB = buildBlob('redirect', 300_000)
const { signal } = new AbortController()

async function pullBlob(upstream: Upstream): Promise<string> {
  const blob = await upstream.getBlob(X, BLOB.digest, signal)
  return blob === undefined ? 'undefined' : digestOf(await collect(blob.body))
}

describe('RegistryClient', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    registry.addBlob('library/x', BLOB)
    return registry
  }

  describe('redirects', () => {
    const token = { kind: 'token' } as const

    it.each([301, 302, 303, 307, 308] as const)(
      'follows a %i to another server, and leaves the token behind',
      async (status) => {
        const registry = await start({ auth: token, redirect: { status, manifests: true } })
        const upstream = opened.upstream(registry, { redirectHosts: [registry.host('cdn')] })
        expect(await pullBlob(upstream)).toBe(BLOB.digest)
        expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
        expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
        const cdn = registry.requests.filter(({ server }) => server === 'cdn')
        expect(cdn.map(({ method }) => method)).toEqual(['GET', 'HEAD', 'GET'])
        expect(cdn.filter(({ headers }) => headers['authorization'] !== undefined)).toEqual([])
      },
    )

    it('sends no token to a signed URL on the registry itself', async () => {
      const registry = await start({ auth: token, redirect: { to: 'relative' } })
      expect(await pullBlob(opened.upstream(registry))).toBe(BLOB.digest)
    })

    it('sends the token along to another path of the registry', async () => {
      const registry = await start({ auth: token })
      const redirect = `/v2/library/x/blobs/${BLOB.digest}`
      registry.inject({ kind: 'blob', times: 1, action: { redirect } })
      expect(await pullBlob(opened.upstream(registry))).toBe(BLOB.digest)
      expect(registry.count({ kind: 'blob', status: 401 })).toBe(1)
    })

    it('does not dial a redirect target on loopback that is not configured', async () => {
      const registry = await start({ redirect: {} })
      const failure = await failureOf(pullBlob(opened.upstream(registry)))
      expect(failure.kind).toBe('misbehaved')
      expect(failure.message).toContain('`redirectHosts`')
      expect(registry.count({ server: 'cdn' })).toBe(0)
    })

    it.each([
      ['https://169.254.169.254/latest/meta-data'],
      ['http://2130706433/'],
      ['http://[::1]:1/'],
      ['file:///etc/passwd'],
      ['http://canary:canary@registry-1.docker.io/'],
    ])('goes nowhere near %s', async (redirect) => {
      const registry = await start()
      registry.inject({ action: { redirect } })
      const failure = await failureOf(pullBlob(opened.upstream(registry)))
      expect(failure.kind).toBe('misbehaved')
      expect(failure.message).not.toContain('canary')
      expect(registry.count()).toBe(1)
    })

    it('follows five redirects and no sixth', async () => {
      const registry = await start()
      const redirect = `/v2/library/x/blobs/${BLOB.digest}`
      const five = registry.inject({ kind: 'blob', times: 5, action: { redirect } })
      const upstream = opened.upstream(registry)
      expect(await pullBlob(upstream)).toBe(BLOB.digest)
      five.remove()
      registry.reset()
      registry.inject({ kind: 'blob', action: { redirect } })
      expect(await failureOf(pullBlob(upstream))).toMatchObject({ kind: 'misbehaved' })
      expect(registry.count()).toBe(6)
    })

    it('does not answer the challenge of a redirect target, and does not call it a denial', async () => {
      const registry = await start({ redirect: {} })
      const headers = { 'www-authenticate': 'Basic realm="thief"' }
      registry.inject({ server: 'cdn', action: { status: 401, headers } })
      const upstream = opened.upstream(registry, {
        redirectHosts: [registry.host('cdn')],
        credentials: () => Promise.resolve({ username: 'mirror', password: 'canary' }),
      })
      expect(await failureOf(pullBlob(upstream))).toMatchObject({ kind: 'misbehaved' })
      expect(registry.requests.map(({ server }) => server)).toEqual(['registry', 'cdn'])
    })

    it('asks the registry for a fresh URL when the one that it gave leads to a dead server', async () => {
      const registry = await start({ redirect: {} })
      const dead = 'http://127.0.0.1:1'
      registry.inject({ kind: 'blob', times: 1, action: { redirect: `${dead}/x` } })
      const redirectHosts = ['127.0.0.1:1', registry.host('cdn')]
      expect(await pullBlob(opened.upstream(registry, { redirectHosts }))).toBe(BLOB.digest)
    })

    it('puts no signature and no password in a message', async () => {
      const registry = await start({ redirect: {} })
      registry.inject({ server: 'cdn', action: { status: 418 } })
      const upstream = opened.upstream(registry, { redirectHosts: [registry.host('cdn')] })
      const { message } = await failureOf(pullBlob(upstream))
      expect(message).toContain(`/cdn/library/x/blobs/${BLOB.digest}: answered 418`)
      expect(message).not.toMatch(/\?|Signature/)
    })
  })

  describe('retries', () => {
    it('tries a 503 twice more', async () => {
      const registry = await start()
      const fault = { kind: 'manifest', times: 2, action: { status: 503 } } as const
      registry.inject(fault)
      const upstream = opened.upstream(registry)
      expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
      expect(registry.count()).toBe(3)
      registry.reset()
      registry.inject({ ...fault, times: 9 })
      const failure = await failureOf(upstream.headManifest(X, tag('1'), signal))
      expect(failure).toMatchObject({ kind: 'unavailable', retryAfter: undefined })
      expect(registry.count()).toBe(3)
    })

    it.each([
      ['a 503 that says when to come back', { status: 503, headers: { 'retry-after': '9' } }],
      ['a 429', { status: 429 }],
      ['a 403', { status: 403 }],
    ])('does not repeat %s', async (_, action) => {
      const registry = await start()
      registry.inject({ action })
      await failureOf(opened.upstream(registry).getManifest(X, tag('1'), signal))
      expect(registry.count()).toBe(1)
    })

    it.each(['fin', 'reset'] as const)(
      'reads a manifest again that breaks with a %s',
      async (how) => {
        const registry = await start()
        registry.inject({ kind: 'manifest', times: 1, action: { cut: { after: 10, how } } })
        const manifest = await opened.upstream(registry).getManifest(X, tag('1'), signal)
        expect(manifest?.descriptor.digest).toBe(IMAGE.manifest.digest)
      },
    )

    it('stops trying when the client leaves', async () => {
      const registry = await start()
      registry.inject({ action: { status: 500 } })
      const client = new AbortController()
      const upstream = opened.upstream(
        registry,
        {},
        {
          onRequest: () => client.abort(new Error('the client left')),
        },
      )
      const asked = upstream.getManifest(X, tag('1'), client.signal)
      await expect(asked).rejects.toThrow('the client left')
      expect(registry.count()).toBe(1)
    })
  })

  it('puts the path of the endpoint before /v2, and never sends a query', async () => {
    const registry = await start({ prefix: '/mirror/hub' })
    for (const slash of ['', '/']) {
      const endpoints = [new URL(registry.url + slash)]
      expect(await pullBlob(opened.upstream(registry, { endpoints }))).toBe(BLOB.digest)
    }
    const path = `/mirror/hub/v2/library/x/blobs/${BLOB.digest}`
    expect(registry.requests.map((request) => [request.path, request.query.size])).toEqual([
      [path, 0],
      [path, 0],
    ])
  })

  it('tells of each request, without its URL', async () => {
    const registry = await start({ auth: { kind: 'token' }, redirect: {} })
    const events: UpstreamRequestEvent[] = []
    const upstream = opened.upstream(
      registry,
      { redirectHosts: [registry.host('cdn')] },
      { onRequest: (event) => events.push(event) },
    )
    await pullBlob(upstream)
    expect(events.map(({ kind, host, method, status }) => [kind, host, method, status])).toEqual([
      ['blob', registry.host(), 'GET', 401],
      ['token', registry.host(), 'GET', 200],
      ['blob', registry.host(), 'GET', 307],
      ['blob', registry.host('cdn'), 'GET', 200],
    ])
    expect(events.every(({ upstream: name, ms }) => name === 'docker.io' && ms >= 0)).toBe(true)
    await registry.stop()
    events.length = 0
    await failureOf(pullBlob(upstream))
    expect(events[0]).toMatchObject({ status: undefined })
  })
})
