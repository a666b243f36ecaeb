import { createReadStream } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ImportApi } from '../../../src/core/airgap/import-api.ts'
import { buildArtifact } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { pull } from '../../core/maintenance/pulled.ts'
import { blobsOf, buildBundle, CREATED, writeBundle } from './build-bundle.ts'
import { importInto } from './import-into.ts'

const AMD64 = buildImage({ seed: 'carried' })
const ARM64 = buildImage({ seed: 'carried', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD64, ARM64])
const OTHER = buildImage({ seed: 'other', layerBytes: 900_000 })
const APP = 'docker.io/library/app:1'

let registry: FakeRegistry
let mirror: TestMirror
let dir: TempDir
let api: ImportApi

beforeEach(async () => {
  registry = await FakeRegistry.start()
  mirror = await TestMirror.start({
    upstreams: { 'docker.io': { registry }, 'quay.io': { registry } },
  })
  api = mirror.operations.imports
  dir = await makeTempDir()
})
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
  await dir.remove()
})

const bundleOf = (name: string, ...args: Parameters<typeof buildBundle>) =>
  writeBundle(dir.path, name, buildBundle(...args))

const status = async (path: string) => {
  const response = await mirror.fetch(path)
  await response.arrayBuffer()
  return response.status
}

describe('an import', () => {
  it('serves what it brought, by tag and by digest, without asking its upstream', async () => {
    const path = await bundleOf('week.tar', [
      { image: APP, content: INDEX, checkedAt: Date.now() },
      { image: 'quay.io/acme/other:2', content: OTHER, checkedAt: Date.now() },
    ])
    const [report] = await importInto(api, [path])
    expect(report?.images.map(({ state }) => state)).toEqual(['committed', 'committed'])
    registry.reset()
    expect(await status('/v2/library/app/manifests/1')).toBe(200)
    for (const { digest } of blobsOf(INDEX)) {
      expect(await status(`/v2/library/app/blobs/${digest}`)).toBe(200)
    }
    for (const { digest } of blobsOf(OTHER)) {
      expect(await status(`/v2/quay.io/acme/other/blobs/${digest}`)).toBe(200)
    }
    expect(registry.requests).toEqual([])
  })

  it('is done twice without writing or changing anything the second time', async () => {
    const path = await bundleOf('week.tar', [{ image: APP, content: INDEX }])
    await importInto(api, [path])
    const [again] = await importInto(api, [path])
    expect(again?.plan.missing).toBe(0)
    expect(again?.blobs).toBe(0)
    expect(again?.images.map(({ state }) => state)).toEqual(['unchanged'])
    expect(await mirror.maintenance.history(APP)).toHaveLength(1)
  })

  it('takes a bundle from a stream, once and in its order', async () => {
    const path = await bundleOf('week.tar', [{ image: APP, content: INDEX }])
    const [report] = await importInto(api, ['-'], { stdin: createReadStream(path) })
    expect(report?.images.map(({ state }) => state)).toEqual(['committed'])
  })

  it('says what it would do, and does nothing, for a dry run', async () => {
    const path = await bundleOf('week.tar', [{ image: APP, content: INDEX }])
    const [report] = await importInto(api, [path], { dryRun: true })
    expect(report?.plan).toMatchObject({ images: 1, blobs: 9, missing: 9 })
    expect((await mirror.catalog.totals()).blobs).toBe(0)
  })

  it('commits of an index what its platforms need, and no more', async () => {
    const path = await bundleOf('sparse.tar', [
      { image: APP, content: { ...INDEX, images: [AMD64] }, platforms: ['linux/amd64'] },
    ])
    const [report] = await importInto(api, [path])
    expect(report?.images.map(({ state }) => state)).toEqual(['committed'])
    const all = await bundleOf('lying.tar', [
      { image: 'docker.io/library/lie:1', content: { ...INDEX, images: [AMD64] } },
    ])
    const [lie] = await importInto(api, [all])
    expect(lie?.images).toMatchObject([{ state: 'incomplete', missing: [ARM64.manifest.digest] }])
    expect(await status('/v2/library/lie/manifests/1')).toBe(404)
  })

  it.each([[[]], [['plan9/amd64']], [['no platform']]])(
    'does not move a tag to an index without any image (platforms %j)',
    async (platforms) => {
      const whole = await bundleOf('whole.tar', [{ image: APP, content: OTHER }])
      await importInto(api, [whole])
      const path = await bundleOf('hollow.tar', [
        { image: APP, content: { ...INDEX, images: [] }, platforms, checkedAt: Date.now() },
      ])
      const [report] = await importInto(api, [path], { overwrite: true })
      expect(report?.images).toMatchObject([
        { state: 'incomplete', missing: [AMD64.manifest.digest, ARM64.manifest.digest] },
      ])
      expect(await mirror.maintenance.show(APP)).toMatchObject({
        tree: { digest: OTHER.manifest.digest },
      })
    },
  )

  it('pins only where that is asked for', async () => {
    const content = { image: APP, content: OTHER, pinned: true } as const
    const path = await bundleOf('week.tar', [content])
    await importInto(api, [path])
    expect(await mirror.maintenance.show(APP)).toMatchObject({ pinned: false })
    await importInto(api, [path], { pin: 'carried' })
    expect(await mirror.maintenance.show(APP)).toMatchObject({ pinned: true })
  })

  it('brings what is attached, and lists it among the referrers', async () => {
    const sbom = buildArtifact({ seed: 'sbom', subject: OTHER.manifest, artifactType: 'a/sbom' })
    const path = await bundleOf('week.tar', [
      { image: APP, content: OTHER, checkedAt: Date.now() },
      {
        image: `docker.io/library/app@${sbom.manifest.digest}`,
        content: sbom,
        subject: OTHER.manifest.digest,
      },
    ])
    await importInto(api, [path])
    const repository = { upstream: 'docker.io', name: 'library/app' } as never
    const held = await mirror.catalog.heldReferrers(repository, OTHER.manifest.digest)
    expect(held.map(({ digest }) => digest)).toEqual([sbom.manifest.digest])
  })

  it('takes only the images that match, with what is attached to them', async () => {
    const path = await bundleOf('week.tar', [
      { image: APP, content: INDEX },
      { image: 'quay.io/acme/other:2', content: OTHER },
    ])
    const [report] = await importInto(api, [path], { only: 'docker.io/*' })
    expect(report?.images.map(({ image }) => image)).toEqual([APP])
    expect(report?.plan.blobs).toBe(9)
    await expect(importInto(api, [path], { only: 'ghcr.io/*' })).rejects.toThrow(
      'nothing in week matches ghcr.io/*',
    )
  })

  it('names images of upstreams that are not configured, and takes the others', async () => {
    const path = await bundleOf('week.tar', [
      { image: APP, content: OTHER },
      { image: 'ghcr.io/acme/app:1', content: INDEX },
    ])
    const [report] = await importInto(api, [path])
    // Nor are their blobs.
    expect(report?.blobs).toBe(4)
    expect(report?.plan.refused).toMatchObject([
      {
        image: 'ghcr.io/acme/app:1',
        reason: expect.stringMatching(/^ghcr\.io is not an upstream of this mirror/),
      },
    ])
    expect(report?.images.map(({ state }) => state)).toEqual(['committed', 'refused'])
  })
})

describe('a tag that is here', () => {
  const NEWER = buildImage({ seed: 'newer' })

  it('moves to what the bundle says, unless it is newer here, or is told to', async () => {
    registry.add('library/app', NEWER, '1')
    await pull(mirror, 'library/app', '1', NEWER)
    const path = await bundleOf('old.tar', [{ image: APP, content: OTHER, checkedAt: CREATED }])
    const [kept] = await importInto(api, [path])
    expect(kept?.plan.moves).toMatchObject([{ image: APP, kept: 'newer' }])
    expect(kept?.images.map(({ state }) => state)).toEqual(['kept'])
    const before = await mirror.maintenance.show(APP)
    expect(before.tree.digest).toBe(NEWER.manifest.digest)
    const [moved] = await importInto(api, [path], { overwrite: true })
    expect(moved?.images.map(({ state }) => state)).toEqual(['committed'])
    expect((await mirror.maintenance.show(APP)).tree.digest).toBe(OTHER.manifest.digest)
  })

  it('stays where it is held, whatever is said', async () => {
    registry.add('library/app', NEWER, '1')
    await pull(mirror, 'library/app', '1', NEWER)
    await mirror.maintenance.hold(APP)
    const later = Date.now() + 1000
    const path = await bundleOf('new.tar', [{ image: APP, content: OTHER, checkedAt: later }])
    const [report] = await importInto(api, [path], { overwrite: true })
    expect(report?.plan.moves).toMatchObject([{ kept: 'held' }])
    expect(report?.images.map(({ state }) => state)).toEqual(['kept'])
  })

  it('is not dropped once it is imported, until upstream has moved it', async () => {
    const repository = { upstream: 'docker.io', name: 'library/app' } as never
    const path = await bundleOf('week.tar', [{ image: APP, content: OTHER }])
    await importInto(api, [path])
    expect(await mirror.catalog.dropTag(repository, '1' as never, Date.now())).toBe(false)
    expect(await mirror.catalog.keepsTag(repository, '1' as never)).toBe(true)
    registry.add('library/app', NEWER, '1')
    await mirror.catalog.record(repository, NEWER.manifest, [], {
      tag: '1' as never,
      checkedAt: Date.now() + 1000,
    })
    expect(await mirror.catalog.dropTag(repository, '1' as never, Date.now())).toBe(true)
  })
})

describe('an import that is not whole', () => {
  it('names the missing base, the bundle that had it, and takes the complete images', async () => {
    const base = buildBundle([{ image: APP, content: OTHER }])
    const [layer] = OTHER.layers
    if (layer === undefined) throw new Error('an image without layers')
    const parent = { id: base.header.id, name: 'week34', created: CREATED }
    const delta = [
      { image: 'docker.io/library/new:1', content: OTHER, without: [layer.digest] },
      { image: 'docker.io/library/whole:1', content: INDEX },
    ]
    const requires = [{ digest: layer.digest, size: layer.size, from: base.header.id }]
    const path = await bundleOf('week35.tar', delta, { parents: [parent], requires })
    const [report] = await importInto(api, [path])
    expect(report?.base).toEqual([{ ...parent, imported: false }])
    expect(report?.images).toMatchObject([
      { state: 'incomplete', missing: [layer.digest] },
      { state: 'committed' },
    ])
    await importInto(api, [await writeBundle(dir.path, 'week34.tar', base)])
    const [second] = await importInto(api, [path])
    expect(second?.images.map(({ state }) => state)).toEqual(['committed', 'unchanged'])
  })

  it('keeps what was right, names what is damaged, and commits what needs none of it', async () => {
    const built = buildBundle([
      { image: APP, content: OTHER },
      { image: 'docker.io/library/whole:1', content: INDEX },
    ])
    const [layer] = OTHER.layers
    const files = built.files.map(({ path, bytes }) => {
      const isIt = layer !== undefined && path.endsWith(layer.digest.slice(7))
      return isIt ? { path, bytes: Buffer.from(bytes).fill(7, 0, 1) } : { path, bytes }
    })
    const path = await writeBundle(dir.path, 'bad.tar', { files })
    const [report] = await importInto(api, [path])
    expect(report?.damaged).toMatchObject([
      { place: `bad.tar: blobs/sha256/${layer?.digest.slice(7)}` },
    ])
    expect(report?.images.map(({ state }) => state)).toEqual(['incomplete', 'committed'])
    expect(await status('/v2/library/app/manifests/1')).toBe(404)
  })

  it('is refused before its first byte where there is no room', async () => {
    const small = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      limits: { maxSize: 100_000, minFree: { bytes: 0 } },
    })
    const path = await bundleOf('large.tar', [{ image: APP, content: OTHER }])
    await expect(importInto(small.operations.imports, [path])).rejects.toThrow(
      /large has 1\d{6} bytes that are not here, and there is room for 100000/,
    )
    expect((await small.catalog.totals()).blobs).toBe(0)
    await small[Symbol.asyncDispose]()
  })
})

describe('what belongs to one repository', () => {
  /** Of corp.example only those with its token may have anything. */
  function startClosed(): Promise<TestMirror> {
    const isPrivate = { type: 'token', token: 'x' } as never
    return TestMirror.start({
      upstreams: {
        'corp.example': { registry, credentials: isPrivate },
        'docker.io': { registry },
      },
    })
  }

  it('is not given to another one by a bundle that only names it', async () => {
    const secret = buildImage({ seed: 'secret' })
    const closed = await startClosed()
    const imports = closed.operations.imports
    const own = [{ image: 'corp.example/team/secret:1', content: secret }]
    await importInto(imports, [await bundleOf('own.tar', own)])
    const all = blobsOf(secret).map(({ digest }) => digest)
    const evil = [{ image: 'docker.io/evil/x:1', content: secret, without: all }]
    const named = await bundleOf('evil.tar', evil)
    const [refused] = await importInto(imports, [named])
    expect(refused?.images).toMatchObject([
      { state: 'incomplete', reason: expect.stringMatching(/other repositories/) },
    ])
    expect((await closed.fetch(`/v2/evil/x/blobs/${secret.config.digest}`)).ok).toBe(false)
    const carried = [{ image: 'docker.io/evil/x:1', content: secret }]
    const [given] = await importInto(imports, [await bundleOf('has.tar', carried)])
    expect(given?.images.map(({ state }) => state)).toEqual(['committed'])
    await closed[Symbol.asyncDispose]()
  })

  it('is not given away while it waits for the rest of its bundle', async () => {
    const secret = buildImage({ seed: 'unfinished' })
    const closed = await startClosed()
    const imports = closed.operations.imports
    const own = await bundleOf('own.tar', [
      { image: 'corp.example/team/secret:1', content: secret },
    ])
    const killed: ImportApi = {
      plan: (offer) => imports.plan(offer),
      put: (blob, body, signal) => imports.put(blob, body, signal),
      commit: () => Promise.reject(new Error('killed')),
    }
    await expect(importInto(killed, [own])).rejects.toThrow('killed')
    const all = blobsOf(secret).map(({ digest }) => digest)
    const evil = [{ image: 'docker.io/evil/x:1', content: secret, without: all }]
    const [refused] = await importInto(imports, [await bundleOf('evil.tar', evil)])
    expect(refused?.images).toMatchObject([{ state: 'incomplete' }])
    expect((await closed.fetch(`/v2/evil/x/blobs/${secret.config.digest}`)).ok).toBe(false)
    const [again] = await importInto(imports, [own])
    expect(again?.plan).toMatchObject({ missing: 0 })
    expect(again?.images.map(({ state }) => state)).toEqual(['committed'])
    await closed[Symbol.asyncDispose]()
  })
})
