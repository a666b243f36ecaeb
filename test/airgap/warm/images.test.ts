import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildArtifact } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import type { TestImage } from '../../support/images.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { warm } from './warm.ts'

const AMD64 = buildImage({ seed: 'app' })
const ARM64 = buildImage({
  seed: 'app',
  platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
})
const INDEX = buildIndex([AMD64, ARM64])
const NAME = 'docker.io/library/app:1'

let registry: FakeRegistry
let mirror: TestMirror

beforeEach(async () => {
  registry = await FakeRegistry.start()
  registry.add('library/app', INDEX, '1')
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
})
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

const blobsOf = (image: TestImage) => [image.config, ...image.layers].map(({ digest }) => digest)

/** What a client gets with every upstream stopped. */
async function expectServed(name: string, tag: string, image: TestImage): Promise<void> {
  await registry.stop()
  const paths = [`manifests/${tag}`, `manifests/${image.manifest.digest}`]
  for (const path of [...paths, ...blobsOf(image).map((digest) => `blobs/${digest}`)]) {
    const response = await mirror.fetch(`/v2/${name}/${path}`)
    await response.arrayBuffer()
    expect([path, response.status]).toEqual([path, 200])
  }
  await registry.restart()
}

describe('an image that is warmed', () => {
  it('is served whole with no upstream, for the platforms that were wanted only', async () => {
    const { report } = await warm(mirror, ['app:1'], { platforms: ['linux/amd64'] })
    expect(report.images).toMatchObject([
      {
        image: NAME,
        reference: 'app:1',
        state: 'fetched',
        digest: INDEX.manifest.digest,
        platforms: [{ platform: 'linux/amd64', digest: AMD64.manifest.digest }],
        attachments: 0,
      },
    ])
    expect(report.platforms).toEqual(['linux/amd64'])
    expect(registry.count({ reference: ARM64.manifest.digest })).toBe(0)
    await expectServed('library/app', '1', AMD64)
  })

  it('is asked for by one HEAD, and each part by one GET', async () => {
    await warm(mirror, ['app:1'], { platforms: ['all'], referrers: false })
    const parts = [INDEX, AMD64, ARM64].map(({ manifest }) => manifest.digest)
    const all = [...parts, ...blobsOf(AMD64), ...blobsOf(ARM64)]
    const asked = registry.requests.map(({ method, reference }) => `${method} ${reference}`)
    expect(asked.toSorted()).toEqual(['HEAD 1', ...all.map((digest) => `GET ${digest}`)].toSorted())
    expect(asked[0]).toBe('HEAD 1')
  })

  it('costs one HEAD the second time, and a client nothing', async () => {
    await warm(mirror, ['app:1'], { referrers: false })
    registry.reset()
    const { states, report } = await warm(mirror, ['app:1'], { referrers: false })
    expect(states).toEqual({ [NAME]: 'held' })
    expect(report.fetch).toEqual({ blobs: 0, bytes: 0, unsharedBytes: 0 })
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD'])
    expect((await mirror.head('/v2/library/app/manifests/1')).status).toBe(200)
    expect(registry.count()).toBe(1)
  })

  it('is fetched anew as far as it has changed when its tag has moved, whatever the tag age', async () => {
    await warm(mirror, ['app:1'], { referrers: false })
    const other = buildImage({ seed: 'other' })
    const next = buildIndex([AMD64, other])
    registry.add('library/app', next, '1')
    registry.reset()
    const { report } = await warm(mirror, ['app:1'], { referrers: false })
    expect(report.images[0]).toMatchObject({ state: 'fetched', digest: next.manifest.digest })
    const fetched = [next.manifest.digest, other.manifest.digest, ...blobsOf(other)]
    const gets = registry.requests.filter(({ method }) => method === 'GET')
    expect(gets.map(({ reference = '' }) => reference).toSorted()).toEqual(fetched.toSorted())
    const history = await mirror.maintenance.history('app:1')
    expect(history.map(({ digest }) => digest)).toEqual([
      next.manifest.digest,
      INDEX.manifest.digest,
    ])
  })

  it('is not there if its registry says so, and what is wrong with one keeps no other from coming', async () => {
    registry.inject({ reference: 'denied', action: { status: 403 } })
    const { report } = await warm(mirror, [
      'app:2',
      'app:denied',
      'NO NAME',
      'other.test/x',
      'app:1',
    ])
    expect(report.images.map(({ state }) => state)).toEqual([
      'absent',
      'failed',
      'failed',
      'failed',
      'fetched',
    ])
    expect(report.images.map(({ reason = '' }) => reason)).toEqual([
      'docker.io/library/app:2 does not exist: its registry says so',
      expect.stringMatching(/403/),
      expect.stringMatching(/"NO NAME" is no image: write it as/),
      'other.test is not an upstream of this mirror: it has docker.io',
      '',
    ])
  })

  it('fails by name where no platform fits, and says what there is', async () => {
    const none = await warm(mirror, ['app:1'], { platforms: ['linux/riscv64'] })
    expect(none.report.images).toMatchObject([
      {
        state: 'failed',
        reason: 'there is none for linux/riscv64, only for linux/amd64, linux/arm64/v8',
      },
    ])
    const some = await warm(mirror, ['app:1'], { platforms: ['linux/riscv64', 'linux/arm64'] })
    expect(some.report.images).toMatchObject([
      {
        state: 'fetched',
        platforms: [{ platform: 'linux/arm64/v8' }],
        reason: 'there is none for linux/riscv64',
      },
    ])
  })

  it('fails if its registry lacks a part, and names it', async () => {
    const [layer] = AMD64.layers
    registry.delete('library/app', layer?.digest ?? AMD64.config.digest)
    registry.delete('library/app', ARM64.manifest.digest)
    const amd64 = await warm(mirror, ['app:1'], { platforms: ['linux/amd64'] })
    expect(amd64.report.images[0]?.reason).toBe(
      `its registry does not have the blob ${layer?.digest}, which its manifest names`,
    )
    const arm64 = await warm(mirror, ['app:1'], { platforms: ['linux/arm64'] })
    expect(arm64.report.images[0]?.reason).toBe(
      `its index names ${ARM64.manifest.digest} (linux/arm64/v8), which its registry does not have`,
    )
  })

  it('is what its digest says, and keeps its tag if that says so too', async () => {
    const old = buildImage({ seed: 'old' })
    registry.add('library/app', old, 'old')
    const pinned = await warm(mirror, [
      `app:1@${INDEX.manifest.digest}`,
      `app:old@${INDEX.manifest.digest}`,
      `app@${old.manifest.digest}`,
    ])
    expect(pinned.report.images.map(({ state, reason }) => [state, reason])).toEqual([
      ['fetched', undefined],
      [
        'fetched',
        `docker.io/library/app:old is ${old.manifest.digest} by now, and so is not here by its tag (\`hold\` keeps it at a digest)`,
      ],
      ['fetched', undefined],
    ])
    const listed = await mirror.maintenance.images({})
    expect(listed.items.map(({ image }) => image)).toContain(NAME)
  })

  it('is pinned with what is attached to it, if that is asked for', async () => {
    const sbom = buildArtifact({ subject: AMD64.manifest, artifactType: 'application/spdx+json' })
    const signed = await FakeRegistry.start({ lists: { referrersPage: 10 } })
    signed.add('library/app', AMD64, '1')
    signed.add('library/app', sbom)
    await using own = await TestMirror.start({ upstreams: { 'docker.io': { registry: signed } } })
    await warm(own, ['app:1'], { pin: true })
    const { items } = await own.maintenance.images({})
    expect(items.map(({ image, pinned }) => [image, pinned])).toEqual([
      [NAME, true],
      [`docker.io/library/app@${sbom.manifest.digest}`, true],
    ])
    await own.mirror.idle()
    await signed.close()
  })
})

describe('an upstream that is not online', () => {
  it('is asked nothing if it is offline, and that is the reason', async () => {
    const upstreams = { 'docker.io': { registry, mode: 'offline' } } as const
    await using offline = await TestMirror.start({ upstreams })
    const { report } = await warm(offline, ['app:1'])
    expect(report.images).toMatchObject([
      { state: 'failed', reason: expect.stringMatching(/^docker\.io is offline in this mirror/) },
    ])
    expect(registry.count()).toBe(0)
  })

  it('is asked about what is here if it is cache-first: that is how a tag is brought up to date', async () => {
    const upstreams = { 'docker.io': { registry, mode: 'cache-first' } } as const
    await using first = await TestMirror.start({ upstreams })
    await warm(first, ['app:1'])
    const next = buildImage({ seed: 'next' })
    registry.add('library/app', next, '1')
    const served = async () =>
      (await first.head('/v2/library/app/manifests/1')).headers.get('docker-content-digest')
    expect(await served()).toBe(INDEX.manifest.digest)
    await warm(first, ['app:1'])
    expect(await served()).toBe(next.manifest.digest)
    await first.mirror.idle()
  })
})

describe('a dry run', () => {
  it('keeps manifests, so that they are paid for once, and fetches no blob', async () => {
    const { report, states } = await warm(mirror, ['app:1'], { dryRun: true, referrers: false })
    expect(states).toEqual({ [NAME]: 'planned' })
    expect(registry.count({ kind: 'blob' })).toBe(0)
    expect(registry.count({ kind: 'manifest', method: 'GET' })).toBe(3)
    const sizes = [INDEX, AMD64, ARM64].map(({ manifest }) => manifest.size)
    const blobs = [AMD64, ARM64].flatMap(({ config, layers }) => [config, ...layers])
    const bytes = [...sizes, ...blobs.map(({ size }) => size)].reduce((sum, size) => sum + size, 0)
    expect(report).toMatchObject({
      dryRun: true,
      fetch: { blobs: 9, bytes, unsharedBytes: bytes },
      upstreams: [{ upstream: 'docker.io', images: 1, held: 0, fetchBytes: bytes }],
      free: expect.any(Number),
    })
    await warm(mirror, ['app:1'], { referrers: false })
    expect(registry.count({ kind: 'manifest', method: 'GET' })).toBe(3)
    const again = await warm(mirror, ['app:1'], { dryRun: true, referrers: false })
    expect(again.states).toEqual({ [NAME]: 'held' })
  })

  it('leaves a tag that is here and whole where it is, and one that is gone upstream', async () => {
    await warm(mirror, ['app:1'])
    const moved = buildImage({ seed: 'moved' })
    registry.add('library/app', moved, '1')
    const { states } = await warm(mirror, ['app:1'], { dryRun: true })
    expect(states).toEqual({ [NAME]: 'planned' })
    registry.deleteTag('library/app', '1')
    const gone = await warm(mirror, ['app:1'], { dryRun: true })
    expect(gone.states).toEqual({ [NAME]: 'absent' })
    registry.reset()
    const answer = await mirror.fetch('/v2/library/app/manifests/1')
    expect(answer.headers.get('docker-content-digest')).toBe(INDEX.manifest.digest)
    await answer.arrayBuffer()
    expect(registry.requests).toEqual([])
    expect(await mirror.maintenance.history(NAME)).toHaveLength(1)
  })
})
