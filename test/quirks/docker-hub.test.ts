import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { ManualClock } from '../support/clock.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import type { FaultAction } from '../support/fault.ts'
import { buildBlob, buildImage, buildIndex } from '../support/images.ts'
import { dockerHub, HUB_LIMIT_TEXT } from '../support/registry-quirks.ts'
import type { TestMirror } from '../support/test-mirror.ts'
import { hastyClock } from '../upstream/open-for.ts'
import type { Quirky } from './quirky.ts'
import { startQuirky } from './quirky.ts'

const FIVE_MINUTES = 300_000
const LIMITED = { status: 429, body: HUB_LIMIT_TEXT }
/** For too many requests of any kind, pulls or not, whoever asks. */
const ABUSE: FaultAction = {
  status: 429,
  headers: { 'content-type': 'text/plain' },
  body: 'Too Many Requests',
}
const LOGIN = { username: 'hubber', password: 'canary-hub' }

describe('Docker Hub', () => {
  const image = buildImage({ seed: 'hub', layers: 1 })
  const newer = buildImage({ seed: 'hub-newer', layers: 1 })
  let clock: ManualClock
  /** What the registry itself takes for the time, in milliseconds. */
  let hubTime: number
  let limit: { remaining: number }
  let hub: FakeRegistry
  let mirror: TestMirror
  let at: Quirky['at']

  async function start(settings: Parameters<typeof startQuirky>[1] = {}): Promise<void> {
    const { options, ...quirks } = dockerHub(limit)
    const allow = (user: string | undefined, name: string) =>
      user !== undefined || name.startsWith('library/')
    const auth = { ...options.auth, allow }
    const timed = { ...options, auth, now: () => hubTime }
    const started = await startQuirky({ ...quirks, options: timed }, { clock, ...settings })
    ;({ registry: hub, mirror, at } = started)
    hub.add('library/app', image, 'v1')
  }
  beforeEach(() => {
    clock = new ManualClock()
    hubTime = 0
    limit = { remaining: 99 }
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await hub.close()
  })

  async function get(path: string) {
    const response = await mirror.fetch(path)
    const body = Buffer.from(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, body, digest: digestOf(body) }
  }

  it('is asked by HEAD, which it does not count as a pull, for a tag that has expired', async () => {
    await start()
    await get(at('manifests/v1'))
    hub.reset()
    for (const _ of [1, 2, 3]) {
      await clock.advance(FIVE_MINUTES)
      expect((await get(at('manifests/v1'))).digest).toBe(image.manifest.digest)
    }
    expect(hub.requests.map(({ method, status }) => [method, status])).toEqual([
      ['HEAD', 200],
      ['HEAD', 200],
      ['HEAD', 200],
    ])
  })

  it('counts one pull for each manifest of an image, however many pull it', async () => {
    await start()
    const platforms = [image, newer]
    const index = buildIndex(platforms)
    hub.add('library/app', index, 'multi')
    const paths = ['manifests/multi', ...platforms.map((one) => `manifests/${one.manifest.digest}`)]
    for (const path of paths) {
      const clients = Array.from({ length: 10 }, () => get(at(path)))
      for (const { status } of await Promise.all(clients)) expect(status).toBe(200)
    }
    expect(99 - limit.remaining).toBe(3)
    await clock.advance(FIVE_MINUTES)
    expect((await get(at('manifests/multi'))).digest).toBe(index.manifest.digest)
    expect(99 - limit.remaining).toBe(3)
  })

  it('without a pull left still confirms a tag', async () => {
    await start()
    await get(at('manifests/v1'))
    limit.remaining = 0
    await clock.advance(FIVE_MINUTES)
    const { status, headers } = await get(at('manifests/v1'))
    expect([status, headers.get('warning')]).toEqual([200, null])
    expect(headers.get('cache-status')).toBe('oci-mirror; hit; detail=revalidated')
  })

  it('without a pull left cannot give what a tag has moved to, and the last copy stands in', async () => {
    // With a reserve it would not even be asked, until a quarter of an hour has passed.
    const deps = { clock: { ...hastyClock, now: () => clock.now() } }
    await start({ rateLimit: { reserve: 0 }, deps })
    await get(at('manifests/v1'))
    hub.add('library/app', newer, 'v1')
    limit.remaining = 0
    await clock.advance(FIVE_MINUTES)
    const stale = await get(at('manifests/v1'))
    expect([stale.status, stale.digest]).toEqual([200, image.manifest.digest])
    expect(stale.headers.get('warning')).toMatch(/^299 - /)
    limit.remaining = 1
    await clock.advance(FIVE_MINUTES)
    expect((await get(at('manifests/v1'))).digest).toBe(newer.manifest.digest)
  })

  it('that takes us for an abuser does not show where we have a copy', async () => {
    await start()
    const paths = ['manifests/v1', `manifests/${image.manifest.digest}`]
    const held = [...paths, `blobs/${image.config.digest}`].map((path) => at(path))
    for (const path of held) expect((await get(path)).status).toBe(200)
    await mirror.settle()
    hub.inject({ action: ABUSE })
    await clock.advance(FIVE_MINUTES)
    for (const path of held) expect((await get(path)).status).toBe(200)
    const [layer] = image.layers
    const cold = await get(at(`blobs/${layer?.digest}`))
    expect([cold.status, cold.body.includes('Too Many')]).toEqual([503, false])
    expect(Number(cold.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it('that limits us does not show where we have a copy, but for a warning', async () => {
    await start()
    await get(at('manifests/v1'))
    hub.add('library/app', newer, 'v1')
    await clock.advance(FIVE_MINUTES)
    hub.inject({ kind: 'manifest', action: LIMITED })
    const stale = await get(at('manifests/v1'))
    expect([stale.status, stale.digest]).toEqual([200, image.manifest.digest])
    expect(stale.headers.get('warning')).toMatch(/^299 - "[^"]+"$/)
    expect(stale.headers.get('age')).toBe('300')
    expect(stale.headers.get('cache-status')).toMatch(/^oci-mirror; fwd=stale/)
  })

  it('that limits us is a 503 where we have no copy, because clients repeat or sleep on 429', async () => {
    await start()
    hub.inject({ kind: 'manifest', action: { ...LIMITED, headers: { 'retry-after': '90' } } })
    const limited = await get(at('manifests/v1'))
    expect(limited.status).toBe(503)
    expect(limited.headers.get('retry-after')).toBe('90')
    expect(JSON.parse(limited.body.toString())).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] })
    expect(limited.body.toString()).not.toContain('increase-rate-limit')
    expect(hub.count({ kind: 'manifest', status: 429 })).toBe(1)
  })

  it('that limits us for one repository is still asked for blobs, which it does not count', async () => {
    await start()
    await get(at('manifests/v1'))
    hub.inject({ kind: 'manifest', action: LIMITED })
    const { config } = image
    expect((await get(at(`blobs/${config.digest}`))).digest).toBe(config.digest)
  })

  it.each([1, 2])('whose node refuses a new token %i time(s) is asked once more', async (times) => {
    await start()
    hub.inject({ kind: 'manifest', times, action: { status: 401 } })
    const { status } = await get(at('manifests/v1'))
    expect(status).toBe(times === 1 ? 200 : 403)
    expect(hub.count({ kind: 'token', status: 200 })).toBe(2)
  })

  it('whose node finds a token outdated before we do gives another', async () => {
    await start()
    await get(at('manifests/v1'))
    hubTime += 301_000
    expect((await get(at(`blobs/${image.config.digest}`))).digest).toBe(image.config.digest)
    expect(hub.count({ kind: 'token', status: 200 })).toBe(2)
  })

  it('whose token and URL run out in the middle of a blob gives others for the rest', async () => {
    await start()
    const blob = buildBlob('hub', 2_000_000)
    hub.addBlob('library/app', blob)
    const { promise: until, resolve: goOn } = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    const hold = { after: 500_000, until, reached: reached.resolve }
    const cut = { after: 1_000_000, how: 'fin' } as const
    hub.inject({ server: 'cdn', times: 1, action: { hold, cut } })
    const whole = get(at(`blobs/${blob.digest}`))
    await reached.promise
    hubTime += 301_000
    goOn()
    expect((await whole).digest).toBe(blob.digest)
    expect(hub.count({ kind: 'token', status: 200 })).toBe(2)
    const parts = hub.requests.filter(({ server }) => server === 'cdn')
    expect(parts.map(({ status }) => status)).toEqual([200, 206])
    // Nothing twice, but for what its reader had not come to when the connection ended.
    expect(hub.bytesSent('blob')).toBeLessThan(blob.size + 500_000)
  })

  it('gives a token that opens nothing for what is private: denied, and no challenge', async () => {
    await start()
    hub.add('team/secret', image, 'v1')
    const { status, headers, body } = await get(at('manifests/v1', 'team/secret'))
    expect([status, headers.get('www-authenticate')]).toEqual([403, null])
    expect(JSON.parse(body.toString())).toMatchObject({ errors: [{ code: 'DENIED' }] })
    expect(hub.count({ kind: 'token', status: 200 })).toBe(2)
    expect((await get(at('manifests/v1'))).status).toBe(200)
  })

  it('gets the password at its token server only', async () => {
    await start({ login: LOGIN })
    expect((await get(at('manifests/v1'))).status).toBe(200)
    expect((await get(at(`blobs/${image.config.digest}`))).status).toBe(200)
    const sent = hub.requests.map(({ server, headers }) => [
      server,
      headers['authorization']?.split(' ')[0],
    ])
    expect(sent).toEqual([
      ['registry', undefined],
      ['token', 'Basic'],
      ['registry', 'Bearer'],
      ['registry', 'Bearer'],
      ['cdn', undefined],
    ])
  })

  it('is asked for one token, for its service and the repository', async () => {
    await start()
    await get(at('manifests/v1'))
    const tokens = hub.requests.filter(({ kind }) => kind === 'token')
    expect(tokens.map(({ query }) => Object.fromEntries(query))).toEqual([
      { service: 'registry.docker.io', scope: 'repository:library/app:pull' },
    ])
    expect(hub.count({ status: 401 })).toBe(1)
  })

  it('says nothing through us of limits, cookies and servers of its own', async () => {
    await start()
    hub.inject({ kind: 'blob', server: 'cdn', action: { headers: { 'set-cookie': 'a=b' } } })
    for (const path of [at('manifests/v1'), at(`blobs/${image.config.digest}`)]) {
      const { headers } = await get(path)
      const names = [...headers.keys()].filter((name) =>
        /ratelimit|set-cookie|location|www-auth|amz/.test(name),
      )
      expect(names).toEqual([])
    }
  })
})
