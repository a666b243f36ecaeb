import type { LookupFunction } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clock.ts'
import type { FakeRegistryOptions } from '../support/fake-registry.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildHugeBlob, buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TestMirrorOptions } from '../support/test-mirror.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'

const REPOSITORY = 'library/app'
const AT = `/v2/${REPOSITORY}`
const IMAGE = buildImage({ seed: 'silence', layers: 1 })
const NEXT = buildImage({ seed: 'silence, next', layers: 1 })
const BLOB = buildBlob('silence', 100_000)
const OTHER = buildBlob('silence, other', 1_000)

/** One of each kind, none of which waits for another. */
const COLD = [
  ['GET', `${AT}/manifests/v1`],
  ['HEAD', `${AT}/manifests/v2`],
  ['GET', `${AT}/manifests/${NEXT.manifest.digest}`],
  ['GET', `${AT}/blobs/${BLOB.digest}`],
  ['HEAD', `${AT}/blobs/${OTHER.digest}`],
  ['GET', `${AT}/tags/list`],
  ['GET', `${AT}/referrers/${IMAGE.manifest.digest}`],
] as const

const CONTENT = COLD.map(([, path]) => path)

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(() => {
  clock = new ManualClock()
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

type Upstream = TestMirrorOptions['upstreams'][string]

async function start(
  options: FakeRegistryOptions = {},
  configure: () => Partial<Upstream> = () => ({}),
): Promise<void> {
  registry = await FakeRegistry.start(options)
  registry.add(REPOSITORY, IMAGE, 'v1')
  registry.add(REPOSITORY, NEXT, 'v2')
  for (const blob of [BLOB, OTHER]) registry.addBlob(REPOSITORY, blob)
  const { deps, ...upstream } = configure()
  const own = { clock: { ...hastyClock, now: () => clock.now() }, ...deps }
  mirror = await TestMirror.start({
    upstreams: { 'docker.io': { registry, deps: own, ...upstream } },
    clock,
  })
}

/** Asks for everything, and expects that each is told after exactly twenty seconds. */
async function expectTimeouts(): Promise<void> {
  let answered = 0
  const before = mirror.arrivals()
  const waiting = COLD.map(async ([method, path]) => {
    const response = await mirror.fetch(path, { method })
    answered += 1
    await response.arrayBuffer()
    return `${method} ${path} ${response.status} ${response.headers.get('retry-after')}`
  })
  // The time of each counts from here.
  await expect.poll(() => mirror.arrivals() - before).toBe(COLD.length)
  await clock.advance(19_999)
  expect(answered).toBe(0)
  await clock.advance(1)
  expect(await Promise.all(waiting)).toEqual(
    COLD.map(([method, path]) => `${method} ${path} 504 5`),
  )
}

describe('a client is answered within twenty seconds', () => {
  it('by a registry that says nothing, whose answers then serve the next client', async () => {
    await start()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    registry.inject({ action: { until: released } })
    await expectTimeouts()
    release()
    await mirror.settle()
    await expect.poll(() => registry.openSockets()).toBeGreaterThan(0)
    await expectIntact(mirror, { retry: CONTENT })
    expect(registry.count({ kind: 'blob', reference: BLOB.digest })).toBe(1)
  })

  it('while the token server says nothing', async () => {
    await start({ auth: { kind: 'token', realm: 'own-port' } }, () => ({
      tokenRealms: [registry.host('token')],
    }))
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    registry.inject({ kind: 'token', action: { until: released } })
    await expectTimeouts()
    release()
    await mirror.settle()
    await expectIntact(mirror, { retry: CONTENT })
    expect(registry.count({ kind: 'token' })).toBe(1)
  })

  it('while the resolver says nothing', async () => {
    const unanswered: (() => void)[] = []
    let isAnswering = false
    const release = () => {
      isAnswering = true
      for (const answer of unanswered.splice(0)) answer()
    }
    const lookup: LookupFunction = (_, { all }, answer) => {
      unanswered.push(() => {
        if (all === true) answer(null, [{ address: '127.0.0.1', family: 4 }])
        else answer(null, '127.0.0.1', 4)
      })
      if (isAnswering) release()
    }
    await start({}, () => ({
      endpoints: [new URL(`http://registry.test:${new URL(registry.url).port}`)],
      deps: { lookup },
    }))
    await expectTimeouts()
    expect(unanswered).not.toEqual([])
    expect(registry.requests).toEqual([])
    release()
    await mirror.settle()
    await expectIntact(mirror, { retry: CONTENT })
  })

  it('while all slots are taken', async () => {
    await start({}, () => ({ connections: 1 }))
    const held = buildBlob('held', 2 * 1024 * 1024)
    registry.addBlob(REPOSITORY, held)
    const gate = registry.gate({ kind: 'blob', after: 0 })
    const first = mirror.fetch(`${AT}/blobs/${held.digest}`)
    await gate.reached
    await expectTimeouts()
    gate.open()
    await (await first).arrayBuffer()
    await mirror.settle()
    await expectIntact(mirror, { retry: CONTENT })
  })

  it('counted from the request, also where a range far ahead is asked for late', async () => {
    await start()
    const huge = buildHugeBlob('silence, huge', 48 * 1024 * 1024)
    registry.addBlob(REPOSITORY, huge)
    const [answer, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const hold = { after: 1_000, until: goOn.promise }
    registry.inject({ kind: 'blob', ranged: false, action: { until: answer.promise, hold } })
    registry.inject({ kind: 'blob', ranged: true, action: { stall: true } })
    const path = `${AT}/blobs/${huge.digest}`
    const asked = mirror.fetch(path, { headers: { range: 'bytes=-100' } })
    await expect.poll(() => clock.sleeping()).toBe(1)
    await clock.advance(18_000)
    answer.resolve()
    await expect.poll(() => registry.count({ kind: 'blob', ranged: true })).toBe(1)
    await clock.advance(2_000)
    const response = await asked
    expect(response.status).toBe(206)
    goOn.resolve()
    expect((await response.arrayBuffer()).byteLength).toBe(100)
    await expectIntact(mirror, { retry: [path] })
  })

  it('at once where too many wait already', async () => {
    await start({}, () => ({ connections: 1 }))
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    registry.inject({ action: { until: released } })
    const waiting = Array.from({ length: 257 }, (_, n) => mirror.fetch(`${AT}/manifests/cold-${n}`))
    // Each waits for its client, and for the end of its own time.
    await expect.poll(() => clock.sleeping()).toBe(2 * 257)
    const refused = await mirror.fetch(`${AT}/manifests/v1`)
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('5')
    expect(await refused.json()).toMatchObject({ errors: [{ detail: /raise its `connections`/ }] })
    release()
    const statuses = await Promise.all(waiting.map(async (one) => (await one).status))
    expect(new Set(statuses)).toEqual(new Set([404]))
    await expectIntact(mirror, { retry: CONTENT })
  })
})

describe('a name that does not resolve', () => {
  it.each(['SERVFAIL', 'ENOTFOUND'])('(%s) is an upstream that is down', async (code) => {
    let isBroken = false
    const lookup: LookupFunction = (hostname, { all }, answer) => {
      const error = Object.assign(new Error(`query ${code} ${hostname}`), { code })
      if (isBroken) answer(error, [])
      else if (all === true) answer(null, [{ address: '127.0.0.1', family: 4 }])
      else answer(null, '127.0.0.1', 4)
    }
    await start({}, () => ({
      endpoints: [new URL(`http://registry.test:${new URL(registry.url).port}`)],
      deps: { lookup },
    }))
    await (await mirror.fetch(`${AT}/manifests/v1`)).arrayBuffer()
    isBroken = true
    // Connections that are open need no name.
    await registry.stop()
    await registry.restart()
    await clock.advance(5 * 60_000)
    const stale = await mirror.fetch(`${AT}/manifests/v1`)
    expect(stale.headers.get('cache-status')).toContain('fwd=stale; detail=upstream-unavailable')
    await stale.arrayBuffer()
    expect((await mirror.fetch(`${AT}/blobs/${BLOB.digest}`)).status).toBe(503)
    isBroken = false
    await clock.advance(60_000)
    await expectIntact(mirror, { retry: CONTENT })
  })
})
