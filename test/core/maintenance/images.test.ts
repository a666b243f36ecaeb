import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MaintenanceError } from '../../../src/core/maintenance/maintenance-error.ts'
import { ManualClock } from '../../support/clock.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { get, pull, pullIndex } from './pulled.ts'

const MINUTE = 60_000
const AMD = buildImage({ seed: 'app' })
const ARM = buildImage({ seed: 'app', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD, ARM])
const NEXT = buildImage({ seed: 'next' })
const APP = 'docker.io/library/app:1'

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(async () => {
  clock = new ManualClock()
  registry = await FakeRegistry.start()
  registry.add('library/app', INDEX, '1')
  registry.add('library/other', AMD, 'same')
  mirror = await TestMirror.start({
    upstreams: { 'docker.io': { registry }, 'quay.io': { registry, aliases: ['q'] } },
    clock,
  })
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

/** How the promise was refused: the kind, and what the operator is told. */
async function refusal(promise: Promise<unknown>): Promise<readonly [string, string]> {
  try {
    await promise
  } catch (error) {
    if (error instanceof MaintenanceError) return [error.problem, error.message]
    throw error
  }
  throw new Error('it was not refused')
}

const images = async () => (await mirror.maintenance.images({})).items.map(({ image }) => image)

describe('listing', () => {
  it('tells how much of each image is here', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    const { items, next } = await mirror.maintenance.images({ glob: 'app' })
    expect(next).toBeUndefined()
    expect(items).toMatchObject([
      {
        image: APP,
        digest: INDEX.manifest.digest,
        blobs: 6,
        storedBlobs: 5,
        pinned: false,
        held: false,
      },
    ])
    const { items: repositories } = await mirror.maintenance.repositories({})
    expect(repositories).toMatchObject([
      { repository: 'docker.io/library/app', tags: 1, manifests: 2, blobs: 5 },
    ])
    expect((await mirror.maintenance.blobs({})).items).toHaveLength(5)
  })

  it('goes on in pages, and finds what a glob says', async () => {
    for (let n = 100; n < 203; n += 1) registry.add('many/tags', NEXT, `t${n}`)
    for (let n = 100; n < 203; n += 1) await get(mirror, `/v2/q/many/tags/manifests/t${n}`)
    await mirror.settle()
    const first = await mirror.maintenance.images({ glob: 'quay.io/many/*' })
    expect(first.items).toHaveLength(100)
    const rest = await mirror.maintenance.images({
      glob: 'quay.io/many/*',
      after: first.next ?? '',
    })
    expect(rest.items.map(({ image }) => image)).toEqual(
      ['200', '201', '202'].map((n) => `quay.io/many/tags:t${n}`),
    )
  })
})

describe('showing', () => {
  it('draws the tree of what is here and what is missing', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    const { tree, history } = await mirror.maintenance.show('app:1')
    expect(tree.stored).toBe(true)
    expect(tree.children).toMatchObject([
      { digest: AMD.manifest.digest, platform: 'linux/amd64', stored: true },
      { digest: ARM.manifest.digest, platform: 'linux/arm64', stored: false, children: [] },
    ])
    expect(tree.children[0]?.children.map(({ stored }) => stored)).toEqual([true, true, true])
    expect(history).toEqual([{ image: APP, digest: INDEX.manifest.digest, at: clock.now() }])
  })

  it('says what there is instead of a tag that is not here', async () => {
    await pull(mirror, 'library/other', 'same', AMD)
    expect(await refusal(mirror.maintenance.show('other:9'))).toEqual([
      'unknown',
      'docker.io/library/other:9 is not here; of docker.io/library/other there is same: choose one, or pull it first',
    ])
    expect((await refusal(mirror.maintenance.show('q/none')))[1]).toMatch(
      /^quay\.io\/none:latest is not here, and nothing else of quay\.io\/none: see `ls`/,
    )
    for (const text of ['', 'A', 'x y', 'app:', 'app@sha256:12', 'http://app', '../app']) {
      expect((await refusal(mirror.maintenance.show(text)))[0]).toBe('invalid')
    }
  })
})

describe('the history of a tag', () => {
  it('has every change with its time, newest first, and outlives the tag', async () => {
    const began = clock.now()
    await get(mirror, '/v2/library/app/manifests/1')
    registry.add('library/app', NEXT, '1')
    await clock.advance(10 * MINUTE)
    await get(mirror, '/v2/library/app/manifests/1')
    await clock.advance(10 * MINUTE)
    await get(mirror, '/v2/library/app/manifests/1')
    await mirror.maintenance.remove({ references: ['app:1'], all: false, dryRun: false })
    expect(await mirror.maintenance.history('app')).toEqual([
      { image: APP, digest: null, at: began + 20 * MINUTE },
      { image: APP, digest: NEXT.manifest.digest, at: began + 10 * MINUTE },
      { image: APP, digest: INDEX.manifest.digest, at: began },
    ])
    expect(await mirror.maintenance.history('app:1')).toHaveLength(3)
    await expectIntact(mirror, { retry: ['/v2/library/app/manifests/1'] })
  })
})

describe('a hold', () => {
  it('keeps a tag at its digest whatever upstream says, without asking, and lets it go again', async () => {
    await get(mirror, '/v2/library/app/manifests/1')
    expect(await mirror.maintenance.hold('app:1')).toEqual({
      image: APP,
      digest: INDEX.manifest.digest,
    })
    registry.add('library/app', NEXT, '1')
    await clock.advance(60 * MINUTE)
    const asked = registry.requests.length
    expect(await get(mirror, '/v2/library/app/manifests/1')).toBe(INDEX.manifest.digest)
    expect(registry.requests.length).toBe(asked)
    expect(
      await refusal(mirror.maintenance.remove({ references: [APP], all: false, dryRun: false })),
    ).toEqual(['refused', `${APP} is held: \`release\` it first`])
    await mirror.maintenance.release('app:1')
    expect(await get(mirror, '/v2/library/app/manifests/1')).toBe(NEXT.manifest.digest)
    expect((await refusal(mirror.maintenance.release('app:1')))[0]).toBe('refused')
  })

  it('fetches the manifest that it is to hold, and is refused if there is none', async () => {
    await get(mirror, '/v2/library/app/manifests/1')
    registry.add('library/app', NEXT)
    const report = await mirror.maintenance.hold(`app:1@${NEXT.manifest.digest}`)
    expect(report.before).toBe(INDEX.manifest.digest)
    expect(await get(mirror, '/v2/library/app/manifests/1')).toBe(NEXT.manifest.digest)
    const none = `sha256:${'0'.repeat(64)}`
    expect((await refusal(mirror.maintenance.hold(`app:1@${none}`)))[1]).toMatch(/neither here nor/)
    expect((await refusal(mirror.maintenance.hold('app')))[0]).toBe('invalid')
    expect((await mirror.maintenance.show('app:1')).held).toBe(true)
  })
})

describe('removing', () => {
  const remove = (references: readonly string[], dryRun = false, all = false) =>
    mirror.maintenance.remove({ references, all, dryRun })

  it('does what its plan says, and leaves what other images need', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await pull(mirror, 'library/other', 'same', AMD)
    const plan = await remove(['app:1'], true)
    expect(await images()).toHaveLength(2)
    const report = await remove(['app:1'])
    expect(report).toEqual({ ...plan, dryRun: false })
    expect(report).toMatchObject({
      images: [{ image: APP, tags: ['1'], manifests: 2 }],
      freed: { blobs: 1, bytes: INDEX.manifest.size },
      kept: { blobs: 4 },
    })
    expect(await images()).toEqual(['docker.io/library/other:same'])
    const last = await remove(['other:same'])
    expect(last.freed.blobs).toBe(4)
    expect((await mirror.maintenance.blobs({})).items).toEqual([])
    await expectIntact(mirror, { retry: ['/v2/library/app/manifests/1'] })
  })

  it('refuses a part of an index, a pinned image, and a glob that means several, and then does nothing', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await pull(mirror, 'library/other', 'same', AMD)
    const part = `app@${AMD.manifest.digest}`
    expect((await refusal(remove([part])))[1]).toMatch(/part of an index/)
    expect(await refusal(remove(['docker.io/*']))).toEqual([
      'ambiguous',
      'docker.io/* matches docker.io/library/app:1, docker.io/library/other:same: name the one you mean, or use --all where the command has it',
    ])
    await mirror.maintenance.pin({ references: ['other:same'], all: false })
    expect((await refusal(remove(['docker.io/*'], false, true)))[1]).toMatch(/other:same is pinned/)
    expect((await refusal(remove(['app:1', 'nope'])))[0]).toBe('unknown')
    expect(await images()).toHaveLength(2)
  })

  it('takes all that a glob means with --all, with every tag of a digest', async () => {
    registry.add('library/app', INDEX, '2')
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await get(mirror, '/v2/library/app/manifests/2')
    const plan = await remove([`app@${INDEX.manifest.digest}`], true)
    expect(plan.images).toMatchObject([{ tags: ['1', '2'], manifests: 2 }])
    expect((await remove(['docker.io/library/app:*'], false, true)).images).toHaveLength(2)
    expect(await images()).toEqual([])
  })
})

describe('a pin', () => {
  it('says what is still to come, and that it was there already', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    const request = { references: ['app:1'], all: false }
    expect(await mirror.maintenance.pin(request)).toEqual({
      images: [{ image: APP, digest: INDEX.manifest.digest, changed: true, missingBlobs: 1 }],
    })
    expect((await mirror.maintenance.pin(request)).images[0]?.changed).toBe(false)
    expect((await mirror.maintenance.images({})).items[0]?.pinned).toBe(true)
    expect((await mirror.maintenance.unpin(request)).images[0]?.changed).toBe(true)
  })
})

describe('a pin whose tag has moved on', () => {
  it('is listed by its digest, and found by globs', async () => {
    await get(mirror, '/v2/library/app/manifests/1')
    await mirror.maintenance.pin({ references: ['app:1'], all: false })
    registry.add('library/app', NEXT, '1')
    await clock.advance(10 * MINUTE)
    await get(mirror, '/v2/library/app/manifests/1')
    const name = `docker.io/library/app@${INDEX.manifest.digest}`
    expect((await mirror.maintenance.images({})).items).toMatchObject([
      { image: APP, pinned: false, checkedAt: clock.now() },
      { image: name, pinned: true },
    ])
    const { images: unpinned } = await mirror.maintenance.unpin({
      references: ['*app@*'],
      all: true,
    })
    expect(unpinned).toMatchObject([{ image: name, changed: true }])
    expect(await images()).toEqual([APP])
  })

  it('keeps its blobs while others are evicted for room', async () => {
    await mirror[Symbol.asyncDispose]()
    const maxSize = 40_000
    mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      clock,
      limits: { maxSize, minFree: { bytes: 0 } },
    })
    await pull(mirror, 'library/other', 'same', AMD)
    await mirror.maintenance.pin({ references: ['other:same'], all: false })
    for (let n = 0; n < 10; n += 1) {
      const image = buildImage({ seed: `filler-${n}`, layers: 4 })
      registry.add('library/filler', image, `t${n}`)
      await clock.advance(MINUTE)
      await pull(mirror, 'library/filler', `t${n}`, image)
    }
    const { stored } = await mirror.maintenance.stats()
    expect(stored.bytes).toBeLessThanOrEqual(maxSize)
    expect(await mirror.maintenance.show('other:same')).toMatchObject({ blobs: 4, storedBlobs: 4 })
    await expectIntact(mirror, { retry: ['/v2/library/other/manifests/same'] })
  })
})

describe('statistics', () => {
  it('count what is here and how it was answered', async () => {
    await get(mirror, '/v2/library/app/manifests/1')
    await get(mirror, '/v2/library/app/manifests/1')
    registry.inject({ kind: 'manifest', action: { status: 500 } })
    expect((await mirror.fetch('/v2/library/app/manifests/none')).status).toBe(503)
    const { stored, counts, activity } = await mirror.maintenance.stats()
    expect(stored).toEqual({ blobs: 1, bytes: INDEX.manifest.size })
    expect(counts).toEqual({ repositories: 1, tags: 1, manifests: 1, pins: 0, holds: 0 })
    expect(activity).toMatchObject({
      flights: 0,
      upstreams: [
        { upstream: 'docker.io', outcomes: { hit: 1, miss: 1 }, failed: 1, hitRatio: 0.5 },
        { upstream: 'quay.io', outcomes: {}, hitRatio: null },
      ],
    })
  })
})
