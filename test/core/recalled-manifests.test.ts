import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ManifestRequest } from '../../src/core/manifest-requests.ts'
import type { UpstreamMode } from '../../src/core/upstream-mode.ts'
import { parseReference } from '../../src/oci/reference.ts'
import type { Repository } from '../../src/oci/reference.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const APP = { upstream: 'docker.io', name: 'library/app' } as Repository
const ANYONE = { kind: 'anonymous' } as const
const MINUTE = 60_000
const IMAGE = buildImage({ seed: 'app' })
const INDEX = buildIndex([buildImage({ seed: 'child' })])

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(async () => {
  clock = new ManualClock()
  registry = await FakeRegistry.start()
  registry.add(APP.name, IMAGE, 'v1')
  registry.add(APP.name, INDEX, 'index')
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
})
afterEach(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

function request(text = 'v1', change: Partial<ManifestRequest> = {}): ManifestRequest {
  const reference = parseReference(text)
  if (reference === undefined) throw new Error(`${text} is no reference`)
  return { repository: APP, reference, need: 'manifest', acceptsIndex: true, ...change }
}

async function pull(wanted = request(), from = mirror) {
  // The first answer brings it, the second one what memory lacks.
  await from.mirror.manifest(wanted, ANYONE, new AbortController().signal)
  return from.mirror.manifest(wanted, ANYONE, new AbortController().signal)
}

function recall(wanted = request()) {
  return mirror.mirror.recallManifest(wanted, ANYONE)
}

describe('a manifest in memory', () => {
  it('is answered at once as it would be otherwise, by tag and by digest', async () => {
    await pull()
    for (const reference of ['v1', IMAGE.manifest.digest]) {
      const wanted = request(reference)
      const slow = await pull(wanted)
      expect(recall(wanted)).toMatchObject({ outcome: 'hit', descriptor: slow.descriptor })
      expect(slow).toMatchObject(recall(wanted) ?? { outcome: 'none' })
    }
  })

  it('is no answer where nothing is known', async () => {
    expect(recall()).toBeUndefined()
    await pull()
    expect(recall(request('v2'))).toBeUndefined()
    const other = { upstream: 'docker.io', name: 'library/other' } as Repository
    expect(recall(request(IMAGE.manifest.digest, { repository: other }))).toBeUndefined()
    const elsewhere = { upstream: 'quay.io', name: 'library/app' } as Repository
    expect(recall(request(IMAGE.manifest.digest, { repository: elsewhere }))).toBeUndefined()
  })

  it('is no answer by a tag that has to be checked', async () => {
    await pull()
    await clock.advance(6 * MINUTE)
    expect(recall()).toBeUndefined()
    expect(recall(request(IMAGE.manifest.digest))).toBeDefined()
    await pull()
    expect(recall()).toMatchObject({ outcome: 'hit' })
  })

  it('is what its tag points at since the last check', async () => {
    await pull()
    const newer = buildImage({ seed: 'newer' })
    registry.add(APP.name, newer, 'v1')
    await clock.advance(6 * MINUTE)
    await pull()
    expect(recall()?.descriptor.digest).toBe(newer.manifest.digest)
  })

  it('is no answer to a client that needs another manifest than the index', async () => {
    await pull(request('index'))
    expect(recall(request('index'))?.descriptor.digest).toBe(INDEX.manifest.digest)
    expect(recall(request('index', { acceptsIndex: false }))).toBeUndefined()
  })

  it('is no answer once the tag has been removed', async () => {
    await pull()
    const references = ['docker.io/library/app:v1']
    await mirror.maintenance.remove({ references, all: false, dryRun: false })
    expect(recall()).toBeUndefined()
  })
})

describe('a manifest in memory of a mirror that does not ask', () => {
  it.each<UpstreamMode>(['cache-first', 'offline'])(
    '(%s) is answered at once, at any age',
    async (mode) => {
      await using dir = await makeTempDir()
      const start = (now: UpstreamMode) =>
        TestMirror.start({ upstreams: { 'docker.io': { registry, mode: now } }, clock }, dir)
      const online = await start('online')
      await pull(request(), online)
      await online.close()
      await using later = await start(mode)
      await clock.advance(1000 * MINUTE)
      expect(later.mirror.recallManifest(request(), ANYONE)).toBeUndefined()
      const slow = await pull(request(), later)
      const recalled = later.mirror.recallManifest(request(), ANYONE)
      expect(recalled).toMatchObject({ outcome: 'hit', detail: mode })
      expect(slow).toMatchObject(recalled ?? {})
    },
  )
})

describe('a manifest in memory that not everyone may read', () => {
  it('is answered to nobody else', async () => {
    const access = {
      decide: (caller: { readonly kind: string }) =>
        caller.kind === 'user'
          ? ({ allowed: true } as const)
          : ({ allowed: false, code: 'DENIED', rule: 'users only' } as const),
    }
    await using closed = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      access,
    })
    const user = { kind: 'user', name: 'ann' } as const
    for (let n = 0; n < 2; n += 1) {
      await closed.mirror.manifest(request(), user, new AbortController().signal)
    }
    expect(closed.mirror.recallManifest(request(), user)).toBeDefined()
    expect(closed.mirror.recallManifest(request(), ANYONE)).toBeUndefined()
  })
})
