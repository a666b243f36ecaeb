import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import type { CircuitEvent, UpstreamEvent } from '../../src/core/upstream-state.ts'
import { Circuit } from '../../src/upstream/circuit.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildImage } from '../support/images.ts'
import { bodyOf, collect, failureOf, hastyClock, repo, tag } from './open-for.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const SECOND = 1_000
const { signal } = new AbortController()

const down = new UpstreamFailure('unavailable', 'GET https://registry.example: connection refused')
const limited = (retryAfter?: number) =>
  new UpstreamFailure(
    'rate-limited',
    'answered 429',
    retryAfter === undefined ? {} : { retryAfter },
  )

describe('Circuit', () => {
  let time: number
  let events: CircuitEvent[]
  let circuit: Circuit

  beforeEach(() => {
    time = Date.UTC(2026, 0, 1)
    events = []
    circuit = new Circuit('registry.example', { now: () => time }, (event) => events.push(event))
  })

  function fail(times: number, failure = down): void {
    for (let n = 0; n < times; n += 1) circuit.enter('manifest')(failure)
  }

  /** Milliseconds until somebody is let through. */
  function pause(): number {
    return (circuit.state().until ?? time) - time
  }

  it('opens after five failures in a row, whatever came before the last answer', () => {
    fail(4)
    circuit.enter('manifest')('answered')
    fail(4)
    expect(circuit.state()).toMatchObject({ name: 'closed', until: undefined, reason: undefined })
    fail(1)
    expect(circuit.state()).toMatchObject({ name: 'open', since: time, reason: down.message })
  })

  it('refuses at once while it is open, and says why and for how long', () => {
    fail(5)
    const refusal = circuit.refusal('blob')
    expect(refusal).toMatchObject({ kind: 'unavailable', retryAfter: 1, wasAsked: false })
    expect(refusal?.message).toBe(
      `registry.example was not asked, because it failed before, and it is asked again in 1 s (${down.message})`,
    )
    expect(() => circuit.enter('manifest')).toThrow(UpstreamFailure)
  })

  it('lets one request through when the time is over, and no other until that has ended', () => {
    fail(5)
    time += pause()
    const settle = circuit.enter('manifest')
    expect(circuit.state().name).toBe('half-open')
    for (const kind of ['manifest', 'blob', 'list'] as const) {
      expect(() => circuit.enter(kind)).toThrow('it is being asked again')
    }
    settle('answered')
    expect(circuit.state().name).toBe('closed')
    expect(circuit.refusal('manifest')).toBeUndefined()
  })

  it('stays open for longer and longer, at random, and never for more than half a minute', () => {
    fail(5)
    const pauses = Array.from({ length: 8 }, () => {
      const found = pause()
      time += found
      fail(1)
      return found
    })
    for (const [n, found] of pauses.entries()) {
      const most = Math.min(30, 2 ** n) * SECOND
      expect(found).toBeGreaterThanOrEqual(most / 2)
      expect(found).toBeLessThanOrEqual(most)
    }
    time += pause()
    circuit.enter('manifest')('answered')
    fail(5)
    expect(pause()).toBeLessThanOrEqual(SECOND)
  })

  it('learns nothing from a client that leaves: the next one finds out', () => {
    fail(5)
    time += pause()
    circuit.enter('manifest')(undefined)
    expect(circuit.state().name).toBe('open')
    circuit.enter('manifest')('answered')
    expect(circuit.state().name).toBe('closed')
  })

  it('is not changed by what was asked before it opened', () => {
    const [early, late] = [circuit.enter('manifest'), circuit.enter('blob')]
    fail(5)
    const before = circuit.state()
    early('answered')
    late(down)
    expect(circuit.state()).toEqual(before)
  })

  it.each([
    [7, 7],
    [3600, 3600],
  ])('is opened by a single 429, for the %i s that it asks for', (retryAfter, seconds) => {
    fail(1, limited(retryAfter))
    expect(pause()).toBe(seconds * SECOND)
    expect(circuit.refusal('manifest')).toMatchObject({
      kind: 'rate-limited',
      retryAfter: seconds,
      wasAsked: false,
    })
  })

  it('is opened by a 429 that says nothing for five to ten seconds, and longer the next time', () => {
    fail(1, limited())
    expect(pause()).toBeGreaterThanOrEqual(5 * SECOND)
    expect(pause()).toBeLessThanOrEqual(10 * SECOND)
    time += pause()
    fail(1, limited())
    expect(pause()).toBeGreaterThanOrEqual(10 * SECOND)
  })

  it('lets blobs through while manifests are limited, and not the other way round', () => {
    fail(1, limited(60))
    circuit.enter('blob')('answered')
    expect(circuit.state().name).toBe('open')
    expect(() => circuit.enter('manifest')).toThrow('429')
    time += 60 * SECOND
    circuit.enter('blob')
    circuit.enter('manifest')('answered')
    circuit.enter('blob')(limited(60))
    expect(() => circuit.enter('blob')).toThrow('429')
    expect(() => circuit.enter('manifest')).toThrow('429')
  })

  it('tells of each change once', () => {
    fail(5)
    time += pause()
    fail(1)
    time += pause()
    circuit.enter('manifest')('answered')
    circuit.enter('manifest')('answered')
    expect(events.map(({ from, to }) => `${from} ${to}`)).toEqual([
      'closed open',
      'open half-open',
      'half-open open',
      'open half-open',
      'half-open closed',
    ])
    expect(events[0]).toMatchObject({ host: 'registry.example', reason: down.message })
  })
})

describe('an endpoint that fails', () => {
  const opened = new Opened()
  let registry: FakeRegistry
  let time: number
  const events: UpstreamEvent[] = []
  /** Backoffs are real and short; circuits have the time of the test. */
  const clock = { ...hastyClock, now: () => time }

  beforeEach(async () => {
    time = Date.UTC(2026, 0, 1)
    events.length = 0
    registry = await opened.registry()
    registry.add('library/x', IMAGE, '1')
  })
  afterEach(() => opened.close())

  function open(): ReturnType<Opened['upstream']> {
    return opened.upstream(registry, {}, { clock, onEvent: (event) => events.push(event) })
  }

  const PAGE = { status: 200, body: '<html>', headers: { 'content-type': 'text/html' } }

  it.each<[string, FaultAction]>([
    ['with 503', { status: 503 }],
    ['with no answer', { hangUp: 'reset' }],
    ['with nonsense', { raw: 'nonsense\r\n\r\n' }],
    ['with a page', PAGE],
  ])('%s is asked five times, then no more, then once', async (_, action) => {
    const fault = registry.inject({ action })
    const upstream = open()
    const ask = () => failureOf(upstream.getManifest(X, tag('1'), signal))
    while ((await ask()).wasAsked) expect(registry.count()).toBeLessThanOrEqual(5)
    expect(registry.count()).toBe(5)
    expect((await Promise.all(Array.from({ length: 20 }, ask))).map((one) => one.wasAsked)).toEqual(
      Array.from({ length: 20 }, () => false),
    )
    expect(registry.count()).toBe(5)

    time += SECOND
    await Promise.all(Array.from({ length: 20 }, ask))
    expect(registry.count()).toBe(6)
    expect(upstream.state().endpoints[0]?.circuit.name).toBe('open')

    fault.remove()
    time += 2 * SECOND
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
    expect(upstream.state().endpoints).toMatchObject([
      { host: registry.host(), circuit: { name: 'closed', since: time } },
    ])
  })

  it('fails faster than anything waits, also where all slots are taken', async () => {
    const upstream = opened.upstream(registry, { connections: 1 }, { clock })
    const body = bodyOf(await upstream.getBlob(X, IMAGE.config.digest, signal))
    const waiting = failureOf(upstream.getManifest(X, tag('1'), signal))
    expect(upstream.state()).toMatchObject({ underWay: 1, queued: 1 })
    registry.inject({ kind: 'manifest', action: { status: 429 } })
    await collect(body)
    expect((await waiting).wasAsked).toBe(true)

    const gate = registry.gate({ kind: 'blob', after: 0 })
    const next = await upstream.getBlob(X, IMAGE.config.digest, signal)
    const refused = await failureOf(upstream.getManifest(X, tag('1'), signal))
    expect(refused).toMatchObject({ kind: 'rate-limited', wasAsked: false })
    expect(upstream.state()).toMatchObject({ underWay: 1, queued: 0 })
    gate.open()
    await collect(bodyOf(next))
  })

  it.each<[string, FaultAction]>([
    ['refuses us', { status: 403 }],
    ['does not have it', { status: 404 }],
    ['has no such list', { status: 404, body: '<html>', headers: PAGE.headers }],
  ])('is not one that %s', async (title, action) => {
    registry.inject({ action })
    const upstream = open()
    for (let n = 0; n < 10; n += 1) {
      await (
        title.endsWith('list')
          ? upstream.listReferrers(X, IMAGE.manifest.digest, signal)
          : upstream.headManifest(X, tag('1'), signal)
      ).catch(() => undefined)
    }
    expect(registry.count()).toBeGreaterThanOrEqual(10)
    expect(events).toEqual([])
  })

  it('goes on with a blob that is under way, which has clients', async () => {
    const fault = registry.inject({
      kind: 'blob',
      times: 1,
      action: { cut: { after: 10, how: 'fin' } },
    })
    const upstream = open()
    const body = bodyOf(await upstream.getBlob(X, IMAGE.config.digest, signal))
    expect(fault.hits).toBe(1)
    registry.inject({ kind: 'manifest', action: { status: 503 } })
    while ((await failureOf(upstream.getManifest(X, tag('1'), signal))).wasAsked);
    expect((await failureOf(upstream.getBlob(X, IMAGE.config.digest, signal))).wasAsked).toBe(false)
    expect(await collect(body)).toEqual(Buffer.from(IMAGE.config.bytes))
  })

  it('is passed over while another is there, and is the first again when it is back', async () => {
    const second = await opened.registry()
    second.add('library/x', IMAGE, '1')
    const fault = registry.inject({ action: { status: 503 } })
    const endpoints = [new URL(registry.url), new URL(second.url)]
    const upstream = opened.upstream(registry, { endpoints }, { clock })
    for (let n = 0; n < 10; n += 1) {
      expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
    }
    expect([registry.count(), second.count()]).toEqual([5, 10])
    const { endpoints: states } = upstream.state()
    expect(states.map(({ circuit }) => circuit.name)).toEqual(['open', 'closed'])

    fault.remove()
    time += SECOND
    expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
    expect([registry.count(), second.count()]).toEqual([6, 10])
  })

  it.each([
    ['120', 120],
    ['1000000000', 3600],
    [new Date(Date.UTC(2026, 0, 1, 0, 2)).toUTCString(), 120],
    ['soon', undefined],
    [undefined, undefined],
  ])('is not asked for manifests after 429 with Retry-After %s', async (value, seconds) => {
    const headers = { 'retry-after': value }
    registry.inject({ kind: 'manifest', times: 1, action: { status: 429, headers } })
    const upstream = open()
    const first = await failureOf(upstream.getManifest(X, tag('1'), signal))
    expect(first).toMatchObject({ kind: 'rate-limited', retryAfter: seconds, wasAsked: true })
    const { circuit } = upstream.state().endpoints[0] ?? {}
    const ms = (circuit?.until ?? 0) - time
    expect(ms).toBeGreaterThanOrEqual((seconds ?? 5) * SECOND)
    expect(ms).toBeLessThanOrEqual((seconds ?? 10) * SECOND)
    await failureOf(upstream.getManifest(X, tag('1'), signal))
    expect(registry.count()).toBe(1)
    time += ms
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
  })
})

describe('an endpoint that answers', () => {
  const opened = new Opened()
  let time: number
  const events: UpstreamEvent[] = []
  const clock = { ...hastyClock, now: () => time }

  beforeEach(() => {
    time = Date.UTC(2026, 0, 1)
    events.length = 0
  })
  afterEach(() => opened.close())

  function open(registry: FakeRegistry): ReturnType<Opened['upstream']> {
    const tokenRealms = registry.hosts()
    return opened.upstream(
      registry,
      { tokenRealms },
      { clock, onEvent: (event) => events.push(event) },
    )
  }

  it.each<[string, FaultAction]>([
    ['fails', { status: 500 }],
    ['has too many requests', { status: 429 }],
    ['hangs up', { hangUp: 'reset' }],
  ])('is asked on, although where it redirects to %s', async (_, action) => {
    const registry = await opened.registry({ redirect: {} })
    registry.add('library/x', IMAGE, '1')
    const { digest } = IMAGE.config
    registry.inject({ server: 'cdn', reference: digest, action })
    const upstream = open(registry)
    for (let n = 0; n < 6; n += 1) {
      expect((await failureOf(upstream.getBlob(X, digest, signal))).wasAsked).toBe(true)
    }
    const [layer = IMAGE.config] = IMAGE.layers
    expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
    const body = bodyOf(await upstream.getBlob(X, layer.digest, signal))
    expect(await collect(body)).toEqual(Buffer.from(layer.bytes))
    expect(events).toEqual([])
  })

  it('is back once it redirects again, whatever comes of that', async () => {
    const registry = await opened.registry({ redirect: {} })
    registry.add('library/x', IMAGE, '1')
    const fault = registry.inject({ server: 'registry', action: { status: 503 } })
    const upstream = open(registry)
    const { digest } = IMAGE.config
    while ((await failureOf(upstream.getBlob(X, digest, signal))).wasAsked);
    fault.remove()
    registry.inject({ server: 'cdn', action: { status: 503 } })
    time += SECOND
    await failureOf(upstream.getBlob(X, digest, signal))
    expect(upstream.state().endpoints[0]?.circuit.name).toBe('closed')
  })

  it.each<[string, FaultAction]>([
    ['has too many requests', { status: 429, headers: { 'retry-after': '60' } }],
    ['is away', { status: 503 }],
  ])('is asked by who has a token, while its token server %s', async (_, action) => {
    const registry = await opened.registry({ auth: { kind: 'token', realm: 'own-port' } })
    for (const name of ['library/x', 'library/y']) registry.add(name, IMAGE, '1')
    const upstream = open(registry)
    expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()

    const fault = registry.inject({ kind: 'token', action })
    const ask = () => failureOf(upstream.headManifest(repo('library/y'), tag('1'), signal))
    while ((await ask()).wasAsked);
    const asked = registry.count({ kind: 'token' })
    expect((await ask()).message).toContain(`${registry.host('token')} was not asked`)
    expect(registry.count({ kind: 'token' })).toBe(asked)
    expect(await upstream.headManifest(X, tag('1'), signal)).toBeDefined()
    expect(upstream.state().endpoints[0]?.circuit.name).toBe('closed')
    expect(events).toMatchObject([
      { what: 'circuit', host: registry.host('token'), from: 'closed', to: 'open' },
    ])

    fault.remove()
    time += 60 * SECOND
    expect(await upstream.headManifest(repo('library/y'), tag('1'), signal)).toBeDefined()
  })
})
