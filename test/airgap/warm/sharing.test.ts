import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../../support/fake-registry.ts'
import type { TestBlob, TestImage } from '../../support/images.ts'
import { buildBlob, buildImage } from '../../support/images.ts'
import { described, descriptor } from '../../support/artifacts.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { warm } from './warm.ts'

const SHARED = buildBlob('shared', 300_000)

let registry: FakeRegistry
let mirror: TestMirror

beforeEach(async () => {
  registry = await FakeRegistry.start()
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
})
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

/** An image of the shared layer and one of its own. */
function sharing(seed: string): TestImage {
  const own = buildImage({ seed, layers: 1 })
  const layers: readonly TestBlob[] = [SHARED, ...own.layers]
  const body = {
    schemaVersion: 2,
    mediaType: own.manifest.mediaType,
    config: descriptor(own.config),
    layers: layers.map(descriptor),
  }
  const manifest = described(own.manifest.mediaType, Buffer.from(JSON.stringify(body)))
  return { ...own, manifest, layers }
}

describe('what images share', () => {
  it('is fetched and counted once, in other repositories too, and asked for by nobody else', async () => {
    const names = ['app', 'app', 'tool', 'web'].map((name, n) => `${name}:${n}`)
    for (const [n, name] of names.entries()) {
      const [repository = '', tag = ''] = name.split(':')
      registry.add(`library/${repository}`, sharing(`image ${n}`), tag)
    }
    const { report, steps } = await warm(mirror, names, { referrers: false })
    expect(registry.count({ reference: SHARED.digest })).toBe(1)
    const own = report.fetch.bytes - SHARED.size
    expect(report.fetch).toEqual({
      blobs: 4 * 3 + 1,
      bytes: own + SHARED.size,
      unsharedBytes: own + 4 * SHARED.size,
    })
    expect(steps.at(-1)).toMatchObject({
      images: { done: 4, failed: 0, total: 4 },
      bytes: { done: report.fetch.bytes, total: report.fetch.bytes },
      current: [],
    })
    expect(steps.flatMap(({ finished }) => finished?.image ?? []).toSorted()).toEqual(
      names.map((name) => `docker.io/library/${name}`),
    )
  })

  it('is proved by a byte where reading it needs credentials', async () => {
    const credentials = async () => ({ username: 'u', password: 'p' })
    const auth = { kind: 'basic', users: { u: 'p' } } as const
    await using closed = await FakeRegistry.start({ auth })
    closed.add('a', sharing('a'), '1')
    closed.add('b', sharing('b'), '1')
    await using own = await TestMirror.start({
      upstreams: { 'registry.test': { registry: closed, credentials } },
    })
    const { states } = await warm(own, ['registry.test/a:1', 'registry.test/b:1'], {
      referrers: false,
    })
    expect(Object.values(states)).toEqual(['fetched', 'fetched'])
    const asked = closed.requests.filter(
      ({ reference, status }) => reference === SHARED.digest && status < 400,
    )
    expect(asked.map(({ headers }) => headers['range'])).toEqual([undefined, 'bytes=0-0'])
  })

  it('is a download that clients join, and that joins those of clients', async () => {
    registry.add('library/app', sharing('app'), '1')
    const gate = registry.gate({ reference: SHARED.digest, after: 1_000 })
    const warming = warm(mirror, ['app:1'], { referrers: false })
    await gate.reached
    await expect.poll(() => mirror.spooled()).toEqual([SHARED.digest])
    const client = mirror.fetch(`/v2/library/app/blobs/${SHARED.digest}`)
    gate.open()
    expect((await (await client).arrayBuffer()).byteLength).toBe(SHARED.size)
    await warming
    expect(registry.count({ reference: SHARED.digest })).toBe(1)

    const next = sharing('next')
    const [, layer = SHARED] = next.layers
    registry.add('library/app', next, '2')
    const second = registry.gate({ reference: layer.digest, after: 100 })
    await (await mirror.fetch('/v2/library/app/manifests/2')).arrayBuffer()
    const pulling = mirror.fetch(`/v2/library/app/blobs/${layer.digest}`)
    await second.reached
    const joined = warm(mirror, ['app:2'], { referrers: false })
    await expect.poll(() => registry.count({ method: 'HEAD', reference: '2' })).toBe(1)
    second.open()
    await (await pulling).arrayBuffer()
    expect((await joined).states).toEqual({ 'docker.io/library/app:2': 'fetched' })
    expect(registry.count({ reference: layer.digest })).toBe(1)
  })

  it('is fetched once by two warmings at the same time', async () => {
    registry.add('library/app', sharing('app'), '1')
    const both = await Promise.all([1, 2].map(() => warm(mirror, ['app:1'], { referrers: false })))
    for (const { states } of both) {
      expect(['held', 'fetched']).toContain(states['docker.io/library/app:1'])
    }
    expect(registry.count({ kind: 'blob' })).toBe(3)
  })
})
