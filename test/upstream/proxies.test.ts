import type { LookupFunction } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Upstream } from '../../src/core/upstream.ts'
import type { RegistryOptions } from '../../src/upstream/options.ts'
import type { Proxies } from '../../src/upstream/proxies.ts'
import { FakeProxy } from '../support/fake-proxy.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { bodyOf, collect, failureOf, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const LOGIN = { username: 'mirror', password: 'canary-password' }
const PROXY_LOGIN = 'corp:canary%3Aproxy'
const { signal } = new AbortController()

/** Behind a proxy nothing is resolved here. */
const noLookup: LookupFunction = (hostname, _options, callback) => {
  callback(Object.assign(new Error(`looked up ${hostname}`), { code: 'ENOTFOUND' }), [])
}

function pull(upstream: Upstream): ReturnType<Upstream['getManifest']> {
  return upstream.getManifest(X, tag('1'), signal)
}

/** The same port under a name that only a proxy that does not ask can reach. */
function named(host: string, registry: FakeRegistry): URL {
  const url = new URL(registry.url)
  url.hostname = host
  return url
}

describe('behind proxies', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  async function startProxy(login?: string): Promise<FakeProxy> {
    const proxy = await FakeProxy.start(login === undefined ? {} : { login })
    opened.add(proxy)
    return proxy
  }

  function open(
    registry: FakeRegistry,
    proxies: Partial<Proxies>,
    options: Partial<RegistryOptions> = {},
  ): Upstream {
    const none = { http: undefined, https: undefined, bypass: [] }
    return opened.upstream(
      registry,
      { proxies: { ...none, ...proxies }, ...options },
      { lookup: noLookup, timeouts: { connect: 2_000, headers: 2_000, body: 2_000 } },
    )
  }

  it('sends the registry, its token server and its storage the whole URL, for http', async () => {
    const proxy = await startProxy()
    const auth = { kind: 'token', realm: 'own-port', users: { mirror: 'canary-password' } } as const
    const registry = await start({ auth, redirect: {} })
    const endpoint = named('registry.test', registry)
    const upstream = open(
      registry,
      { http: proxy.url },
      {
        endpoints: [endpoint],
        credentials: () => Promise.resolve(LOGIN),
        tokenRealms: [registry.host('token')],
        redirectHosts: [registry.host('cdn')],
      },
    )
    expect(await pull(upstream)).toBeDefined()
    const blob = await upstream.getBlob(X, IMAGE.config.digest, signal)
    expect(await collect(bodyOf(blob))).toEqual(Buffer.from(IMAGE.config.bytes))
    const asked = new Set(proxy.requests.map(({ target }) => new URL(target).host))
    expect([...asked]).toEqual([endpoint.host, registry.host('token'), registry.host('cdn')])
    expect(proxy.requests).toHaveLength(registry.count())
    expect(registry.requests.map(({ headers }) => headers['host'])).toContain(endpoint.host)
  })

  it('keeps the query of a presigned URL, which is a part of what is sent', async () => {
    const proxy = await startProxy()
    const registry = await start({ redirect: {} })
    const upstream = open(registry, { http: proxy.url }, { redirectHosts: registry.hosts() })
    expect(await upstream.probeBlob(X, IMAGE.config.digest, signal)).toBeDefined()
    expect(proxy.targets().at(-1)).toContain('X-Amz-Signature=')
  })

  it('has a tunnel made to the registry, its token server and its storage, for https', async () => {
    const proxy = await startProxy()
    const registry = await start({
      tls: true,
      auth: { kind: 'token', realm: 'own-port' },
      redirect: {},
    })
    const endpoint = named('localhost', registry)
    const upstream = open(
      registry,
      { https: proxy.url },
      {
        ca: registry.ca ?? '',
        endpoints: [endpoint],
        tokenRealms: [registry.host('token')],
        redirectHosts: [registry.host('cdn')],
      },
    )
    expect(await pull(upstream)).toBeDefined()
    const blob = await upstream.getBlob(X, IMAGE.config.digest, signal)
    expect(await collect(bodyOf(blob))).toEqual(Buffer.from(IMAGE.config.bytes))
    expect([...new Set(proxy.targets())]).toEqual([
      `CONNECT ${endpoint.host}`,
      `CONNECT ${registry.host('token')}`,
      `CONNECT ${registry.host('cdn')}`,
    ])
  })

  it('keeps its tunnels for the requests that follow', async () => {
    const proxy = await startProxy()
    const registry = await start({ tls: true })
    const upstream = open(registry, { https: proxy.url }, { ca: registry.ca ?? '' })
    for (let round = 0; round < 8; round += 1) await pull(upstream)
    // As without a proxy: the second request may begin a moment before the first has left its connection.
    expect(proxy.requests.length).toBeLessThanOrEqual(2)
    expect(registry.socketsOpened()).toBe(proxy.requests.length)
  })

  it('speaks TLS with the registry itself: a proxy in between cannot pose as it', async () => {
    const proxy = await startProxy()
    const registry = await start({ tls: true })
    const failure = await failureOf(pull(open(registry, { https: proxy.url })))
    expect(failure.message).toContain('certificate is not trusted')
    expect(registry.count()).toBe(0)
  })

  it('closes its connections to the proxy with the upstream', async () => {
    const proxy = await startProxy()
    const registry = await start({ tls: true })
    const upstream = open(registry, { https: proxy.url }, { ca: registry.ca ?? '' })
    await pull(upstream)
    await upstream.close()
    await vi.waitFor(() => expect(proxy.openSockets()).toBe(0))
  })

  it('uses a proxy for https that is for http only as little as curl does', async () => {
    const proxy = await startProxy()
    const [plain, secure] = await Promise.all([start(), start({ tls: true })])
    const ca = { ca: secure.ca ?? '' }
    expect(await pull(open(secure, { http: proxy.url }, ca))).toBeDefined()
    expect(await pull(open(plain, { https: proxy.url }))).toBeDefined()
    expect(proxy.requests).toEqual([])
  })

  it('goes straight to what NO_PROXY names, and guards those connections', async () => {
    const proxy = await startProxy()
    const registry = await start({ redirect: {} })
    const { hostname } = new URL(registry.url)
    const upstream = open(registry, { http: proxy.url, bypass: [hostname] })
    expect(await pull(upstream)).toBeDefined()
    const failure = await failureOf(upstream.probeBlob(X, IMAGE.config.digest, signal))
    expect(failure.message).toContain('is not public')
    expect(proxy.requests).toEqual([])
  })

  it.each(['http://169.254.169.254/latest', 'http://localhost:1/', 'http://[::1]:1/'])(
    'asks no proxy for %s when a registry redirects there',
    async (redirect) => {
      const proxy = await startProxy()
      const registry = await start()
      registry.inject({ action: { redirect } })
      const failure = await failureOf(pull(open(registry, { http: proxy.url })))
      expect(failure).toMatchObject({ kind: 'misbehaved' })
      expect(failure.message).toContain('is not public')
      expect(proxy.requests).toHaveLength(1)
    },
  )

  it('asks no proxy for a tunnel to such an address either', async () => {
    const proxy = await startProxy()
    const registry = await start({ tls: true })
    registry.inject({ action: { redirect: 'https://169.254.169.254/latest' } })
    const upstream = open(registry, { https: proxy.url }, { ca: registry.ca ?? '' })
    expect((await failureOf(pull(upstream))).message).toContain('is not public')
    expect(proxy.targets()).toEqual([`CONNECT ${registry.host()}`])
  })

  describe.each([
    ['http', {}],
    ['https', { tls: true }],
  ] as const)('for %s', (scheme, tls) => {
    async function both(login?: string) {
      const proxy = await startProxy(login)
      const registry = await start(tls)
      const through = (url: URL) => {
        const ca = registry.ca === undefined ? {} : { ca: registry.ca }
        return open(registry, { [scheme]: url }, ca)
      }
      return { proxy, registry, through }
    }

    it('gives the proxy its user name and password, and nobody else', async () => {
      const { proxy, registry, through } = await both(PROXY_LOGIN)
      expect(await pull(through(proxy.url))).toBeDefined()
      for (const { headers } of registry.requests) {
        expect(headers).not.toHaveProperty('proxy-authorization')
      }
    })

    it('says that the proxy wants another password, without the one that it was given', async () => {
      const { proxy, registry, through } = await both(PROXY_LOGIN)
      const url = new URL(`http://corp:canary@${proxy.host}`)
      const failure = await failureOf(pull(through(url)))
      expect(failure).toMatchObject({ kind: 'unavailable' })
      expect(failure.message).toContain(`through the proxy ${proxy.host}`)
      expect(failure.message).toContain('another user name and password')
      expect(failure.message).not.toContain('canary')
      expect(registry.count()).toBe(0)
    })

    it('sends a password that the proxy has refused only once', async () => {
      const { proxy, registry, through } = await both(PROXY_LOGIN)
      const upstream = through(new URL(`http://corp:canary@${proxy.host}`))
      await failureOf(pull(upstream))
      expect(proxy.requests).toHaveLength(1)
      await failureOf(upstream.getBlob(X, IMAGE.config.digest, signal))
      expect(proxy.requests).toHaveLength(2)
      expect(registry.count()).toBe(0)
    })

    it('does not try to resume a blob through a proxy that wants another password by now', async () => {
      const { proxy, registry, through } = await both()
      registry.inject({ kind: 'blob', action: { cut: { after: 10, how: 'fin' } } })
      const blob = await through(proxy.url).getBlob(X, IMAGE.config.digest, signal)
      proxy.refuse(407)
      const sent = proxy.requests.length
      const failure = await failureOf(collect(bodyOf(blob)))
      expect(failure.message).toContain('another user name and password')
      expect(proxy.requests).toHaveLength(sent + 1)
    })

    it('is unavailable when the proxy is down, and names it', async () => {
      const { proxy, through } = await both(PROXY_LOGIN)
      const { url, host } = proxy
      await proxy.close()
      const failure = await failureOf(pull(through(url)))
      expect(failure).toMatchObject({ kind: 'unavailable' })
      expect(failure.message).toContain(`(through the proxy ${host}): connection refused`)
      expect(failure.message).not.toContain('canary')
    })

    it('does not wait for ever for a proxy that says nothing', async () => {
      const { proxy, registry, through } = await both()
      proxy.silence()
      const failure = await failureOf(pull(through(proxy.url)))
      expect(failure).toMatchObject({ kind: 'timeout' })
      expect(registry.count()).toBe(0)
    })
  })

  it.each([403, 502, 504])('is unavailable when the proxy makes no tunnel (%i)', async (status) => {
    const proxy = await startProxy()
    const registry = await start({ tls: true })
    proxy.refuse(status)
    const failure = await failureOf(pull(open(registry, { https: proxy.url })))
    expect(failure).toMatchObject({ kind: 'unavailable' })
    expect(failure.message).toContain(`made no connection (it answered ${status})`)
    await vi.waitFor(() => expect(proxy.openSockets()).toBe(0))
  })
})
