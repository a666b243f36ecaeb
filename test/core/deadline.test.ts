import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limitTime } from '../../src/core/deadline.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ layers: 1 })
const { digest } = IMAGE.manifest
const APP = '/v2/library/app'

describe('limitTime', () => {
  it('ends work that takes too long with a timeout', async () => {
    const clock = new ManualClock()
    const work = limitTime(
      60_000,
      clock,
      'the tags of app',
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    )
    const failure = work.catch((reason: unknown) => reason)
    await clock.advance(60_000)
    expect(await failure).toMatchObject({
      kind: 'timeout',
      message: 'the tags of app: no answer from upstream within 60 s',
    })
  })

  it.each([
    ['is done', async () => 'done'],
    ['fails', () => Promise.reject(new Error('done'))],
  ])('leaves no timer and aborts nothing when the work %s', async (_, work) => {
    const clock = new ManualClock()
    let signal: AbortSignal | undefined
    await limitTime(60_000, clock, 'app', (given) => {
      signal = given
      return work()
    }).catch(() => undefined)
    expect(clock.sleeping()).toBe(0)
    await clock.advance(60_000)
    expect(signal?.aborted).toBe(false)
  })
})

describe('a registry that takes more than a minute', () => {
  let registry: FakeRegistry
  let mirror: TestMirror
  let clock: ManualClock

  beforeEach(async () => {
    clock = new ManualClock()
    registry = await FakeRegistry.start({ lists: { referrersPage: 100 } })
    registry.add('library/app', IMAGE, 'v1')
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  it.each([
    ['GET', `${APP}/tags/list`],
    ['GET', `${APP}/referrers/${digest}`],
    ['GET', `${APP}/manifests/v1`],
    ['HEAD', `${APP}/manifests/v1`],
    ['GET', `${APP}/manifests/${digest}`],
    ['HEAD', `${APP}/blobs/${IMAGE.config.digest}`],
  ])('is a timeout for those who join late as well: %s %s', async (method, path) => {
    registry.inject({ action: { stall: true } })
    const first = mirror.fetch(path, { method })
    await expect.poll(() => registry.count()).toBe(1)
    await clock.advance(20_000)
    expect((await first).status).toBe(504)
    await clock.advance(25_000)
    const late = mirror.fetch(path, { method })
    await expect.poll(() => clock.sleeping()).toBe(2)
    await clock.advance(15_000)
    expect((await late).status).toBe(504)
    expect(clock.sleeping()).toBe(0)
    expect(registry.count()).toBe(1)
  })
})
