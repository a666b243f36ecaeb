import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { UpstreamEvent } from '../../src/core/upstream-state.ts'
import { RateMemory, readRateLimit } from '../../src/upstream/rate-limit.ts'
import { buildImage } from '../support/images.ts'
import { hastyClock, repo, tag } from './open-for.ts'
import { Opened } from './opened.ts'

const MINUTE = 60_000
const { signal } = new AbortController()

function reply(limit?: string, remaining?: string): { header(name: string): string | undefined } {
  const headers: Record<string, string | undefined> = {
    'ratelimit-limit': limit,
    'ratelimit-remaining': remaining,
  }
  return { header: (name) => headers[name] }
}

describe('readRateLimit', () => {
  it.each([
    ['100;w=21600', '76;w=21600', { limit: 100, remaining: 76, window: 21_600 }],
    ['100', '0', { limit: 100, remaining: 0, window: undefined }],
    ['100', '3; w=60', { limit: 100, remaining: 3, window: 60 }],
    ['100;w=21600', undefined, undefined],
    [undefined, '5', undefined],
    ['many', '5', undefined],
    ['1e9', '-1', undefined],
  ])('reads limit %j and remaining %j', (limit, remaining, expected) => {
    expect(readRateLimit(reply(limit, remaining))).toEqual(expected)
  })
})

describe('RateMemory', () => {
  let time: number
  let told: (readonly [boolean, number])[]

  beforeEach(() => {
    time = Date.UTC(2026, 0, 1)
    told = []
  })

  function remember(reserve = 10): RateMemory {
    return new RateMemory(reserve, { now: () => time }, (isSaving, { remaining }) => {
      told.push([isSaving, remaining])
    })
  }

  it('saves what is left below the reserve, and tells of it once', () => {
    const memory = remember()
    memory.note(reply('100;w=21600', '10'), 'me')
    expect(memory.isSaving()).toBe(false)
    for (const remaining of ['9', '8', '0']) memory.note(reply('100;w=21600', remaining), 'me')
    expect(memory.isSaving()).toBe(true)
    memory.note(reply('100;w=21600', '50'), 'me')
    expect(memory.isSaving()).toBe(false)
    expect(told).toEqual([
      [true, 9],
      [false, 50],
    ])
  })

  it('saves nothing with a reserve of 0', () => {
    const memory = remember(0)
    memory.note(reply('100', '0'), undefined)
    expect(memory.isSaving()).toBe(false)
  })

  it.each([
    ['a quarter of an hour', '100;w=21600', 15 * MINUTE],
    ['a quarter of an hour, without a window', '100', 15 * MINUTE],
    ['a window that is shorter', '100;w=60', MINUTE],
  ])('believes what it was told for %s', (_, limit, life) => {
    const memory = remember()
    memory.note(reply(limit, '1'), 'me')
    const toldAt = time
    time += life - 1
    expect(memory.state()).toMatchObject({ limit: 100, remaining: 1, toldAt })
    time += 1
    expect(memory.state()).toBeUndefined()
    expect(memory.isSaving()).toBe(false)
  })

  it('keeps it through answers that say nothing, unless somebody else was asking', () => {
    const memory = remember()
    memory.note(reply('100', '1'), 'me')
    memory.note(reply(), 'me')
    expect(memory.isSaving()).toBe(true)
    memory.note(reply(), 'another')
    expect(memory.state()).toBeUndefined()
  })

  it('keeps it when nobody was asking, as before there is a token', () => {
    const memory = remember()
    memory.note(reply('100', '1'), 'me')
    memory.note(reply(), undefined)
    expect(memory.isSaving()).toBe(true)
  })
})

describe('a registry that counts pulls', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  it('is described by what it said last to the account in use, which is told when few are left', async () => {
    const registry = await opened.registry({
      auth: { kind: 'token', users: { one: 'canary-1', two: 'canary-2' } },
    })
    registry.add('library/x', buildImage(), '1')
    let username = 'one'
    const events: UpstreamEvent[] = []
    const time = Date.UTC(2026, 0, 1)
    const upstream = opened.upstream(
      registry,
      {
        credentials: () =>
          Promise.resolve({ username, password: username === 'one' ? 'canary-1' : 'canary-2' }),
        rateLimit: { reserve: 5 },
      },
      { clock: { ...hastyClock, now: () => time }, onEvent: (event) => events.push(event) },
    )
    const head = () => upstream.headManifest(repo('library/x'), tag('1'), signal)
    const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '4;w=21600' }
    registry.inject({ kind: 'manifest', times: 1, action: { headers } })

    await head()
    const rateLimit = { limit: 100, remaining: 4, window: 21_600, toldAt: time }
    expect(upstream.state()).toMatchObject({ isSaving: true, endpoints: [{ rateLimit }] })
    expect(events).toEqual([
      {
        what: 'saving',
        upstream: 'docker.io',
        host: registry.host(),
        isSaving: true,
        rateLimit,
      },
    ])

    username = 'two'
    await head()
    expect(upstream.state().isSaving).toBe(false)
    expect(upstream.state().endpoints[0]?.rateLimit).toBeUndefined()
    expect(JSON.stringify(events)).not.toContain('canary')
  })
})
