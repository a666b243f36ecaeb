import { once } from 'node:events'
import type { AddressInfo, LookupFunction, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import type { Upstream } from '../../src/core/upstream.ts'
import { dial } from '../../src/upstream/dial.ts'
import { FakeProxy } from '../support/fake-proxy.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { bodyOf, collect, failureOf, optionsFor, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const { signal } = new AbortController()

/** Containers often have IPv4 alone. */
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
)

function pull(upstream: Upstream): ReturnType<Upstream['getManifest']> {
  return upstream.getManifest(X, tag('1'), signal)
}

/** Answers every name with both addresses of this machine, in this order. */
function bothOf(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_hostname, options, callback) => {
    const [first] = all
    if (options.all === true) callback(null, all)
    else callback(null, first?.address ?? '', first?.family)
  }
}

describe.skipIf(!hasIpv6)('over IPv6', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  /** `[::1]:PORT` that leads to the host and port of a registry. */
  async function alsoAt(target: string): Promise<string> {
    const sockets = new Set<Socket>()
    const server = createServer((client) => {
      const onward = connect(Number(new URL(`http://${target}`).port), '127.0.0.1')
      for (const socket of [client, onward]) {
        sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => sockets.delete(socket))
      }
      client.pipe(onward).pipe(client)
    })
    server.listen(0, '::1')
    await once(server, 'listening')
    opened.add({
      async close() {
        for (const socket of sockets) socket.destroy()
        server.close()
        await once(server, 'close')
      },
    })
    return `[::1]:${(server.address() as AddressInfo).port}`
  }

  it('asks an upstream whose URL has an address', async () => {
    const registry = await start()
    const host = await alsoAt(registry.host())
    const upstream = opened.upstream(registry, { endpoints: [new URL(`http://${host}`)] })
    expect(await pull(upstream)).toBeDefined()
    expect(registry.requests.map(({ headers }) => headers['host'])).toEqual([host])
  })

  it('dials an endpoint, and a proxy, whose URL has an address', async () => {
    const registry = await start()
    const host = await alsoAt(registry.host())
    const url = new URL(`http://${host}`)
    const options = optionsFor(registry, { endpoints: [url] })
    expect(await dial(options, url)).toMatchObject({ address: host })
    const proxies = { http: url, https: undefined, bypass: [] }
    const behind = optionsFor(registry, { proxies })
    const dialled = await dial(behind, new URL('http://registry.invalid'))
    expect(dialled).toMatchObject({ address: undefined, proxy: host })
  })

  it('sends the credentials to a token server at the upstream’s own address', async () => {
    const tokenServer = await start({ auth: { kind: 'token', users: { mirror: 'pass' } } })
    const host = await alsoAt(tokenServer.host())
    const registry = await start({
      auth: {
        kind: 'custom',
        challenges: [`Bearer realm="http://${host}/token",service="s"`],
        accepts: (sent) => sent.startsWith('Bearer '),
      },
    })
    const upstream = opened.upstream(registry, {
      endpoints: [new URL(registry.url)],
      tokenRealms: [host],
      credentials: () => Promise.resolve({ username: 'mirror', password: 'pass' }),
    })
    expect(await pull(upstream)).toBeDefined()
    expect(tokenServer.requests.map(({ status }) => status)).toEqual([200])
  })

  it('follows a redirect to such an address only where the operator lists it', async () => {
    const registry = await start()
    const storage = await start()
    const host = await alsoAt(storage.host())
    const path = `/v2/library/x/blobs/${IMAGE.config.digest}`
    registry.inject({ kind: 'blob', action: { redirect: `http://${host}${path}` } })
    const strict = opened.upstream(registry)
    const failure = await failureOf(strict.getBlob(X, IMAGE.config.digest, signal))
    expect(failure).toMatchObject({ kind: 'misbehaved' })
    expect(failure.message).toContain('its address ::1 is not public')
    expect(storage.count()).toBe(0)
    const open = opened.upstream(registry, { redirectHosts: [host] })
    const blob = await open.getBlob(X, IMAGE.config.digest, signal)
    expect(await collect(bodyOf(blob))).toEqual(Buffer.from(IMAGE.config.bytes))
    expect(storage.count()).toBe(1)
  })

  it.each([
    ['IPv6', ['::1', '127.0.0.1']],
    ['IPv4', ['127.0.0.1', '::1']],
  ])(
    'reaches a name although nobody listens at the %s address that comes first',
    async (_, all) => {
      const registry = await start()
      const isOnIpv4 = all[1] === '127.0.0.1'
      const host = isOnIpv4 ? registry.host() : await alsoAt(registry.host())
      const endpoint = new URL(`http://${host}`)
      endpoint.hostname = 'registry.test'
      const upstream = opened.upstream(
        registry,
        { endpoints: [endpoint] },
        { lookup: bothOf(all), timeouts: { connect: 2_000, headers: 2_000, body: 2_000 } },
      )
      expect(await pull(upstream)).toBeDefined()
    },
  )

  it('says that nobody is there when both addresses refuse', async () => {
    const registry = await start()
    const endpoint = new URL(registry.url)
    endpoint.hostname = 'registry.test'
    await registry.stop()
    const lookup = bothOf(['::1', '127.0.0.1'])
    const failure = await failureOf(
      opened
        .upstream(registry, { endpoints: [endpoint] }, { lookup })
        .headManifest(X, tag('1'), signal),
    )
    expect(failure).toMatchObject({ kind: 'unavailable' })
    expect(failure.message).toContain('connection refused')
  })

  it('goes through a proxy at such an address, and to one', async () => {
    const proxy = await FakeProxy.start()
    opened.add(proxy)
    const registry = await start({ tls: true })
    const url = new URL(`http://${await alsoAt(proxy.host)}`)
    const target = new URL(registry.url)
    target.hostname = '[::1]'
    const upstream = opened.upstream(registry, {
      endpoints: [target],
      insecure: true,
      proxies: { http: undefined, https: url, bypass: [] },
    })
    expect(await pull(upstream)).toBeDefined()
    expect(new Set(proxy.targets())).toEqual(new Set([`CONNECT ${target.host}`]))
  })
})
