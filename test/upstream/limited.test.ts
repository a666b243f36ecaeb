import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Upstream } from '../../src/core/upstream.ts'
import { takeFirst } from '../support/blob-body.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import { bodyOf, collect, failureOf, repo, tag } from './open-for.ts'
import { Opened } from './opened.ts'

const X = repo('library/x')
const IMAGE = buildImage({ layers: 1 })
const BLOBS = Array.from({ length: 6 }, (_, n) => buildBlob(`limited ${n}`, 200_000))
const { signal } = new AbortController()

function pullAll(upstream: Upstream): readonly Promise<number>[] {
  return BLOBS.map(async ({ digest }) => {
    const body = bodyOf(await upstream.getBlob(X, digest, signal))
    return (await collect(body)).length
  })
}

describe('limited', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  async function start(): Promise<FakeRegistry> {
    const registry = await opened.registry({ auth: { kind: 'token' } })
    registry.add('library/x', IMAGE, '1')
    for (const blob of BLOBS) registry.addBlob('library/x', blob)
    return registry
  }

  it('has no more blobs under way than slots, and gives each to the next', async () => {
    const registry = await start()
    const gate = registry.gate({ kind: 'blob', after: 1_000 })
    const upstream = opened.upstream(registry, { connections: 4 })
    const pulls = pullAll(upstream)
    await vi.waitFor(() => expect(registry.count({ kind: 'blob', status: 200 })).toBe(3))
    expect(registry.openSockets()).toBeLessThanOrEqual(4)
    gate.open()
    expect(await Promise.all(pulls)).toEqual(BLOBS.map(({ size }) => size))
  })

  it('answers for a manifest while blobs have all their slots', async () => {
    const registry = await start()
    const gate = registry.gate({ kind: 'blob', after: 1_000 })
    const upstream = opened.upstream(registry, { connections: 2 })
    const pulls = pullAll(upstream)
    await gate.reached
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
    gate.open()
    await Promise.all(pulls)
  })

  it('works over one connection, token requests included', async () => {
    const registry = await start()
    const upstream = opened.upstream(registry, { connections: 1 })
    const manifest = upstream.getManifest(X, tag('1'), signal)
    expect(await Promise.all(pullAll(upstream))).toHaveLength(BLOBS.length)
    expect(await manifest).toBeDefined()
  })

  it('gives the slot back after a failure, an absent blob, an abort and a reader who leaves', async () => {
    const registry = await start()
    const upstream = opened.upstream(registry, { connections: 1 })
    const { digest } = IMAGE.config
    registry.inject({ kind: 'blob', times: 1, action: { status: 403 } })
    await failureOf(upstream.getBlob(X, digest, signal))
    expect(await upstream.getBlob(repo('other'), digest, signal)).toBeUndefined()
    const client = new AbortController()
    await upstream.getBlob(X, digest, client.signal)
    client.abort()
    const left = bodyOf(await upstream.getBlob(X, digest, signal))
    expect(await takeFirst(left)).toBeGreaterThan(0)
    expect(await upstream.getManifest(X, tag('1'), signal)).toBeDefined()
  })

  it('lets the background have half of the slots, and clients go before it', async () => {
    const registry = await start()
    const gate = registry.gate({ kind: 'blob', after: 1_000 })
    const { client, background } = opened.lanes(registry, { connections: 8 })
    const warming = pullAll(background)
    await vi.waitFor(() => expect(registry.count({ kind: 'blob', status: 200 })).toBe(3))
    expect(client.state()).toMatchObject({ underWay: 3, queued: 0, background: 3 })
    expect(background.state()).toEqual(client.state())
    const pulls = pullAll(client)
    await vi.waitFor(() => expect(registry.count({ kind: 'blob', status: 200 })).toBe(6))
    expect(client.state()).toMatchObject({ underWay: 6, queued: 3, background: 3 })
    expect(await background.getManifest(X, tag('1'), signal)).toBeDefined()
    gate.open()
    const sizes = BLOBS.map(({ size }) => size)
    expect(await Promise.all([...warming, ...pulls])).toEqual([...sizes, ...sizes])
  })
})
