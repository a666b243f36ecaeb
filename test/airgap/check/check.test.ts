import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CheckedImage, CheckRequest } from '../../../src/core/airgap/check-api.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { get, pull, pullIndex } from '../../core/maintenance/pulled.ts'
import { buildArtifact } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { TestMirror } from '../../support/test-mirror.ts'

const AMD = buildImage({ seed: 'check' })
const ARM = buildImage({ seed: 'check', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD, ARM])
const APP = 'docker.io/library/app:1'
const NOTATION = 'application/vnd.cncf.notary.signature'

describe('check', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', INDEX, '1')
    registry.add('library/one', AMD, '1')
    mirror = await TestMirror.start({
      upstreams: { 'docker.io': { registry }, 'quay.io': { registry } },
    })
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  function check(reference: string | readonly string[], request: Partial<CheckRequest> = {}) {
    const images = [reference].flat().map((one) => ({ reference: one }))
    return mirror.operations.check.check({ images, signatures: false, ...request })
  }

  async function checkOne(
    reference: string,
    request: Partial<CheckRequest> = {},
  ): Promise<CheckedImage> {
    const { images } = await check(reference, request)
    const [image] = images
    if (image === undefined) throw new Error('nothing was checked')
    return image
  }

  const amd = { platforms: ['linux/amd64'] }

  it('looks for every part of the wanted platforms, and asks nobody', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    const asked = registry.count()
    const report = await check('app:1', amd)
    expect(report).toMatchObject({ platforms: ['linux/amd64'], complete: 1 })
    expect(report.images).toMatchObject([
      {
        reference: 'app:1',
        image: APP,
        state: 'complete',
        digest: INDEX.manifest.digest,
        platforms: [{ platform: 'linux/amd64', complete: true }],
        unknownPlatforms: [],
        missing: { blobs: 0, bytes: 0, digests: [], isMore: false },
        checkedAt: expect.any(Number),
      },
    ])
    expect(await checkOne(APP)).toMatchObject({
      state: 'incomplete',
      platforms: [
        { platform: 'linux/amd64', complete: true },
        { platform: 'linux/arm64', complete: false },
      ],
      missing: { blobs: 1, bytes: ARM.manifest.size, digests: [ARM.manifest.digest], isMore: true },
      reason: 'parts of it are not here: warm it, or import it',
    })
    expect(registry.count()).toBe(asked)
  })

  it('misses a layer that was evicted, of each platform that has it, once', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await pull(mirror, 'library/app', ARM.manifest.digest, ARM)
    const [layer = AMD.config] = AMD.layers
    await mirror.mirror.control.evict(layer.digest)
    expect(await checkOne(APP)).toMatchObject({
      state: 'incomplete',
      platforms: [{ complete: false }, { complete: ARM.layers[0]?.digest !== layer.digest }],
      missing: { blobs: 1, bytes: layer.size, digests: [layer.digest], isMore: false },
    })
  })

  it('says what is no image, and what else there is of one that is not here, each once', async () => {
    await pull(mirror, 'library/one', '1', AMD)
    const { images, complete } = await check(['one:1', 'One:1', 'docker.io/library/one:1', 'one'])
    expect(images.map(({ image, state }) => [image, state])).toEqual([
      ['docker.io/library/one:1', 'complete'],
      ['One:1', 'invalid'],
      ['docker.io/library/one:latest', 'absent'],
    ])
    expect(images[1]?.reason).toMatch(/"One:1" is no image/)
    expect(images[2]?.reason).toMatch(/of docker.io\/library\/one there is 1: choose one/)
    expect(complete).toBe(1)
    await expect(check('one:1', { platforms: ['amd64'] })).rejects.toThrow('is no platform')
  })

  it('tells a platform that an image is not made for from one that is missing', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    const some = { platforms: ['linux/amd64', 'linux/s390x'] }
    expect(await checkOne(APP, some)).toMatchObject({
      state: 'complete',
      unknownPlatforms: ['linux/s390x'],
    })
    expect(await checkOne(APP, { platforms: ['linux/s390x'] })).toMatchObject({
      state: 'incomplete',
      unknownPlatforms: ['linux/s390x'],
      reason: 'it is not for linux/s390x, but for linux/amd64, linux/arm64',
    })
  })

  it('does not count bytes that the repository could not give out without asking', async () => {
    await pull(mirror, 'library/one', '1', AMD)
    await get(mirror, '/v2/quay.io/library/one/manifests/1')
    await mirror.settle()
    const parts = [AMD.config, ...AMD.layers]
    expect(await checkOne('quay.io/library/one:1')).toMatchObject({
      state: 'incomplete',
      missing: { blobs: parts.length, digests: parts.map(({ digest }) => digest) },
      reason: expect.stringContaining('nothing proves that this repository has them: warm it once'),
    })
    // The same of docker.io, where everyone may read everything that came from there.
    registry.add('library/two', AMD, '1')
    await get(mirror, '/v2/library/two/manifests/1')
    await mirror.settle()
    expect(await checkOne('two:1')).toMatchObject({ state: 'complete' })
  })

  it('finds nothing of an image whose manifest was evicted', async () => {
    await pull(mirror, 'library/one', '1', AMD)
    await mirror.mirror.control.evict(AMD.manifest.digest)
    expect(await checkOne('one:1')).toMatchObject({ state: 'absent', missing: { blobs: 1 } })
  })

  describe('--signatures', () => {
    const signed = { ...amd, signatures: true }
    const tagOf = (digest: Digest) => `${digest.replace(':', '-')}.sig`

    beforeEach(async () => {
      await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    })

    it('wants one of the image itself', async () => {
      expect(await checkOne(APP, signed)).toMatchObject({
        state: 'unsigned',
        attachments: 0,
        reason: 'no signature of it is here, nor of each of its platforms',
      })
      const signature = buildArtifact({ seed: 'signature' })
      registry.add('library/app', signature, tagOf(INDEX.manifest.digest))
      await get(mirror, `/v2/library/app/manifests/${tagOf(INDEX.manifest.digest)}`)
      await mirror.settle()
      // What it says is in its layer.
      expect(await checkOne(APP, signed)).toMatchObject({
        state: 'incomplete',
        attachments: 1,
        missing: { blobs: 2 },
      })
      await pull(mirror, 'library/app', tagOf(INDEX.manifest.digest), signature)
      expect(await checkOne(APP, signed)).toMatchObject({ state: 'complete', attachments: 1 })
    })

    it('or of each of its wanted platforms', async () => {
      await pull(mirror, 'library/app', ARM.manifest.digest, ARM)
      const sign = async (subject: typeof AMD.manifest) => {
        const seed = subject.digest
        const signature = buildArtifact({ subject, artifactType: NOTATION, seed })
        registry.add('library/app', signature)
        await pull(mirror, 'library/app', signature.manifest.digest, signature)
      }
      await sign(AMD.manifest)
      expect(await checkOne(APP, signed)).toMatchObject({ state: 'complete' })
      const all = { platforms: ['all'], signatures: true }
      expect(await checkOne(APP, all)).toMatchObject({ state: 'unsigned' })
      await sign(ARM.manifest)
      expect(await checkOne(APP, all)).toMatchObject({ state: 'complete', attachments: 2 })
    })

    it('and an SBOM is none', async () => {
      const sbom = buildArtifact({ subject: INDEX.manifest, artifactType: 'application/spdx+json' })
      registry.add('library/app', sbom)
      await pull(mirror, 'library/app', sbom.manifest.digest, sbom)
      expect(await checkOne(APP, signed)).toMatchObject({ state: 'unsigned', attachments: 1 })
      expect(await checkOne(APP, amd)).toMatchObject({ state: 'complete', attachments: 1 })
    })
  })

  it('lists what is here for the other side: stored blobs, and the images whose manifests are', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await pull(mirror, 'library/one', '1', AMD)
    const [layer = AMD.config] = AMD.layers
    await mirror.mirror.control.evict(layer.digest)
    const { version, created, images, blobs } = await mirror.operations.check.inventory()
    expect(version).toBe(1)
    expect(Math.abs(Date.now() - created)).toBeLessThan(60_000)
    expect(images).toEqual([
      { image: APP, digest: INDEX.manifest.digest },
      { image: 'docker.io/library/one:1', digest: AMD.manifest.digest },
    ])
    const stored = [INDEX.manifest, AMD.manifest, AMD.config, ...AMD.layers.slice(1)]
    expect(blobs).toEqual(stored.map(({ digest }) => digest).toSorted())
  })

  it('knows what clients were given', async () => {
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await get(mirror, `/v2/library/one/manifests/${AMD.manifest.digest}`)
    await mirror.settle()
    const { check: checks } = mirror.operations
    expect(await checks.served(Date.now() - 60_000)).toEqual([
      APP,
      `docker.io/library/one@${AMD.manifest.digest}`,
    ])
    expect(await checks.served(Date.now() + 60_000)).toEqual([])
  })
})
