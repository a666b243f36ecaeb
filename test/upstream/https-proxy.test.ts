import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import type { Upstream } from '../../src/core/upstream.ts'
import { selfSigned } from '../support/certificate.ts'
import { FakeProxy } from '../support/fake-proxy.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { bodyOf, collect, failureOf, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const NONE = { http: undefined, https: undefined, bypass: [] }
const { signal } = new AbortController()

function pull(upstream: Upstream): ReturnType<Upstream['getManifest']> {
  return upstream.getManifest(X, tag('1'), signal)
}

describe('behind a proxy whose URL is https', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  const roots = getCACertificates('default')
  afterEach(() => setDefaultCACertificates(roots))

  /** A proxy with a certificate for these names, which the mirror's Node trusts. */
  async function startTlsProxy(names: readonly string[], hostname: string) {
    const tls = selfSigned(names)
    setDefaultCACertificates([...roots, tls.cert])
    const proxy = await FakeProxy.start({ tls, login: 'corp:secret' })
    opened.add(proxy)
    const { url } = proxy
    url.hostname = hostname
    return { proxy, url }
  }

  it.each(['localhost', '127.0.0.1'])('wants its certificate to name %s', async (hostname) => {
    // Not the first name: roots that are called the same are taken for one another.
    const { proxy, url } = await startTlsProxy(['proxy.test', hostname], hostname)
    const secure = await start({ tls: true })
    const tunnelled = opened.upstream(secure, {
      ca: secure.ca ?? '',
      proxies: { ...NONE, https: url },
    })
    expect(await pull(tunnelled)).toBeDefined()
    const plain = await start({ auth: { kind: 'token', realm: 'own-port' }, redirect: {} })
    const endpoint = new URL(plain.url)
    endpoint.hostname = 'registry.test'
    const handed = opened.upstream(plain, {
      endpoints: [endpoint],
      tokenRealms: [plain.host('token')],
      redirectHosts: [plain.host('cdn')],
      proxies: { ...NONE, http: url },
    })
    expect(await pull(handed)).toBeDefined()
    const blob = await handed.getBlob(X, IMAGE.config.digest, signal)
    expect(await collect(bodyOf(blob))).toEqual(Buffer.from(IMAGE.config.bytes))
    expect(proxy.targets()).toContain(`CONNECT ${secure.host()}`)
    expect(proxy.requests.length).toBeGreaterThan(plain.count())
  })

  it.each(['http', 'https'] as const)(
    'sends nothing to a proxy with the certificate of the registry (%s)',
    async (scheme) => {
      const { proxy, url } = await startTlsProxy(['registry.test'], 'localhost')
      const registry = await start()
      const endpoint = new URL(`${scheme}://registry.test`)
      const upstream = opened.upstream(registry, {
        endpoints: [endpoint],
        proxies: { ...NONE, [scheme]: url },
      })
      const failure = await failureOf(pull(upstream))
      expect(failure).toMatchObject({ kind: 'unavailable' })
      expect(failure.message).toContain(
        'the certificate of the proxy is not trusted (ERR_TLS_CERT_ALTNAME_INVALID)',
      )
      expect(proxy.requests).toEqual([])
    },
  )
})
