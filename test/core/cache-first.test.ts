import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Repository } from '../../src/oci/reference.ts'
import { buildArtifact } from '../support/artifacts.ts'
import { ManualClock } from '../support/clock.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { pull as pullImage } from './maintenance/pulled.ts'

const APP = { upstream: 'docker.io', name: 'library/app' } as Repository
const YEAR = 365 * 24 * 60 * 60_000
const TAG = '/v2/library/app/manifests/1'
const IMAGE = buildImage({ seed: 'app' })
const NEWER = buildImage({ seed: 'newer' })
const REFERRERS = `/v2/library/app/referrers/${IMAGE.manifest.digest}`

let registry: FakeRegistry
let mirror: TestMirror
let clock: ManualClock

beforeEach(async () => {
  clock = new ManualClock()
  registry = await FakeRegistry.start({ lists: { referrersPage: 100 } })
  registry.add('library/app', IMAGE, '1')
  const upstreams = { 'docker.io': { registry, mode: 'cache-first' as const } }
  mirror = await TestMirror.start({ upstreams, clock })
})
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

async function pull(path = TAG, method = 'GET') {
  const response = await mirror.fetch(path, { method })
  const text = await response.text()
  const { status, headers } = response
  const how = (headers.get('cache-status') ?? '').replace('oci-mirror; ', '')
  return { status, how, digest: headers.get('docker-content-digest'), text, headers }
}

describe('an upstream that is asked last', () => {
  it('gives what is not here, as any other', async () => {
    expect(await pull()).toMatchObject({ status: 200, how: 'fwd=miss; stored' })
    await pullImage(mirror, 'library/app', '1', IMAGE)
    expect((await pull('/v2/library/app/manifests/none')).status).toBe(404)
    await registry.stop()
    expect((await pull('/v2/library/app/manifests/cold')).status).toBe(503)
  })

  it('is not asked about a tag that is here, whatever its age and wherever it has moved', async () => {
    await pull()
    registry.add('library/app', NEWER, '1')
    registry.requests.length = 0
    await clock.advance(YEAR)
    for (const method of ['GET', 'HEAD']) {
      const found = await pull(TAG, method)
      expect(found).toMatchObject({ status: 200, how: 'hit; detail=cache-first' })
      expect(found.digest).toBe(IMAGE.manifest.digest)
      expect([found.headers.get('warning'), found.headers.get('age')]).toEqual([null, null])
    }
    expect(registry.requests).toEqual([])
  })

  it('is asked about a tag whose manifest has gone', async () => {
    await pull()
    registry.add('library/app', NEWER, '1')
    await clock.advance(YEAR)
    await mirror.mirror.control.evict(IMAGE.manifest.digest)
    mirror.mirror.control.forgetManifest(APP, IMAGE.manifest.digest)
    expect((await pull()).digest).toBe(NEWER.manifest.digest)
  })

  it('is not asked for a list of referrers that is here', async () => {
    await pull()
    await pull(REFERRERS)
    registry.requests.length = 0
    const later = buildArtifact({ subject: IMAGE.manifest, artifactType: 'application/sig' })
    registry.add('library/app', later)
    await clock.advance(YEAR)
    expect(await pull(REFERRERS)).toMatchObject({ status: 200, how: 'hit; detail=cache-first' })
    expect(registry.requests).toEqual([])
    // What is here refers to it, whoever listed it.
    await pull(`/v2/library/app/manifests/${later.manifest.digest}`)
    expect(JSON.parse((await pull(REFERRERS)).text).manifests).toHaveLength(1)
  })

  it('lists its tags, which may be more than those that are here', async () => {
    registry.setTag('library/app', '2', IMAGE.manifest.digest)
    await pull()
    expect(JSON.parse((await pull('/v2/library/app/tags/list')).text).tags).toEqual(['1', '2'])
    await clock.advance(60_000)
    await registry.stop()
    expect((await pull('/v2/library/app/tags/list')).status).toBe(503)
  })
})
