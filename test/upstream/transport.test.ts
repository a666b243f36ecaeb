import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import type { Upstream } from '../../src/core/upstream.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { failureOf, repo, tag } from './open-for.ts'
import type { FakeOptions } from './opened.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const { signal } = new AbortController()

/** A minute's sleep takes a tenth of a second. */
const hurriedClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, stop) => systemClock.sleep(ms / 600, stop),
}

function pull(upstream: Upstream): ReturnType<Upstream['getManifest']> {
  return upstream.getManifest(X, tag('1'), signal)
}

describe('Transport', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(options: FakeOptions = {}): Promise<FakeRegistry> {
    const registry = await opened.registry(options)
    registry.add('library/x', IMAGE, '1')
    return registry
  }

  it('says who asks, and wants nothing compressed', async () => {
    const registry = await start()
    await pull(opened.upstream(registry))
    expect(registry.requests[0]?.headers).toMatchObject({
      'accept-encoding': 'identity',
      'user-agent': expect.stringMatching(/^oci-mirror\/\d+\.\d+\.\d+/),
    })
  })

  it('keeps its connection for the next request, also after errors', async () => {
    const registry = await start({ auth: { kind: 'token' } })
    const upstream = opened.upstream(registry)
    for (let round = 0; round < 3; round += 1) {
      await pull(upstream)
      await upstream.headManifest(X, tag('1'), signal)
      await upstream.getManifest(X, tag('2'), signal)
    }
    // A second one, because a connection is free a moment after its answer has been read.
    expect(registry.socketsOpened()).toBeLessThanOrEqual(2)
  })

  it('gives an answer that came out of turn to nobody', async () => {
    const registry = await start()
    const forged = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'
    registry.inject({ times: 1, action: { rawAfter: { bytes: forged } } })
    const upstream = opened.upstream(registry)
    await pull(upstream)
    await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
    expect((await pull(upstream))?.descriptor.digest).toBe(IMAGE.manifest.digest)
  })

  it('lets a client leave that waits for the resolver', async () => {
    const client = new AbortController()
    const lookup = () => client.abort(new Error('the client left'))
    const endpoint = { url: 'http://registry.test' }
    // Longer than the test may take.
    const timeouts = { connect: 60_000, headers: 1_000, body: 1_000 }
    const upstream = opened.upstream(endpoint, {}, { lookup, timeouts })
    const asked = upstream.getManifest(X, tag('1'), client.signal)
    await expect(asked).rejects.toThrow('the client left')
  })

  describe('timeouts', () => {
    const timeouts = { connect: 1_000, headers: 100, body: 100 }

    it('does not wait for the resolver for ever', async () => {
      const lookup = () => {}
      const upstream = opened.upstream(
        { url: 'http://registry.test' },
        {},
        { lookup, timeouts: { ...timeouts, connect: 100 } },
      )
      const failure = await failureOf(pull(upstream))
      expect(failure).toMatchObject({ kind: 'unavailable' })
    })

    it('does not wait for headers for ever, and does not try again', async () => {
      const registry = await start()
      registry.inject({ action: { stall: true } })
      const failure = await failureOf(pull(opened.upstream(registry, {}, { timeouts })))
      expect(failure).toMatchObject({ kind: 'timeout' })
      expect(failure.message).toMatch(/\/manifests\/1: no answer in time$/)
      expect(registry.count()).toBe(1)
    })

    it('does not wait for the rest of a body for ever', async () => {
      const registry = await start()
      registry.inject({ action: { stallAfter: 10 } })
      const failure = await failureOf(pull(opened.upstream(registry, {}, { timeouts })))
      expect(failure).toMatchObject({ kind: 'timeout' })
    })

    it('does not wait for a manifest that drips', async () => {
      const registry = await start()
      registry.inject({ action: { drip: { bytes: 1, everyMs: 30 } } })
      const failure = await failureOf(pull(opened.upstream(registry, {}, { clock: hurriedClock })))
      expect(failure).toMatchObject({ kind: 'timeout' })
      expect(failure.message).toContain('takes too long')
      await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
    })
  })

  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    [
      'a length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}',
    ],
    ['headers without end', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(20_000)}\r\n\r\n{}`],
  ])('takes no answer with %s', async (_, raw) => {
    const registry = await start()
    registry.inject({ action: { raw } })
    expect(await failureOf(pull(opened.upstream(registry)))).toMatchObject({ kind: 'misbehaved' })
    await vi.waitFor(() => expect(registry.openSockets()).toBe(0))
  })

  describe('TLS', () => {
    it('trusts no certificate of unknown origin, and says what to do', async () => {
      const registry = await start({ tls: true })
      const failure = await failureOf(pull(opened.upstream(registry)))
      expect(failure.kind).toBe('unavailable')
      expect(failure.message).toContain('set `ca`')
      expect(registry.count()).toBe(0)
    })

    it('trusts the configured authority', async () => {
      const registry = await start({ tls: true })
      expect(await pull(opened.upstream(registry, { ca: registry.ca ?? '' }))).toBeDefined()
    })

    it('checks nothing of an insecure endpoint', async () => {
      const registry = await start({ tls: true })
      expect(await pull(opened.upstream(registry, { insecure: true }))).toBeDefined()
    })

    it('checks the hosts that an insecure endpoint redirects to', async () => {
      const registry = await start({ tls: true })
      const other = await start({ tls: true })
      const redirect = `https://localhost:${new URL(other.url).port}/v2/library/x/manifests/1`
      registry.inject({ action: { redirect } })
      const redirectHosts = [new URL(redirect).host]
      const upstream = opened.upstream(registry, { insecure: true, redirectHosts })
      const failure = await failureOf(pull(upstream))
      expect(failure.message).toContain('certificate is not trusted')
      expect(other.count()).toBe(0)
    })

    it('is not led from https to http', async () => {
      const registry = await start({ tls: true })
      const plain = await start()
      registry.inject({ action: { redirect: `${plain.url}/v2/library/x/manifests/1` } })
      const redirectHosts = [plain.host()]
      const upstream = opened.upstream(registry, { insecure: true, redirectHosts })
      expect(await failureOf(pull(upstream))).toMatchObject({ kind: 'misbehaved' })
      expect(plain.count()).toBe(0)
    })
  })
})
