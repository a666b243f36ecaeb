import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../../src/oci/digest.ts'
import { get, pull, pullIndex } from '../../core/maintenance/pulled.ts'
import { buildArtifact } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'

const AMD = buildImage({ seed: 'listed' })
const ARM = buildImage({ seed: 'listed', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD, ARM])
const OLD = buildImage({ seed: 'old' })
const LOOSE = buildImage({ seed: 'loose' })
const sigTag = (digest: Digest) => `${digest.replace(':', '-')}.sig`

describe('what a list does not name', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  beforeEach(async () => {
    registry = await FakeRegistry.start()
    registry.add('library/app', INDEX, '1')
    registry.add('library/old', OLD, '1')
    registry.add('library/copy', OLD, '1')
    registry.add('library/loose', LOOSE)
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
    await pullIndex(mirror, 'library/app', '1', INDEX, AMD)
    await pull(mirror, 'library/old', '1', OLD)
    await pull(mirror, 'library/copy', '1', OLD)
    await pull(mirror, 'library/loose', LOOSE.manifest.digest, LOOSE)
  })
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  const unlisted = (...references: string[]) => mirror.operations.check.unlisted(references)
  const loose = `docker.io/library/loose@${LOOSE.manifest.digest}`

  /** As the command does it. */
  async function removeAll(references: readonly string[]) {
    return mirror.maintenance.remove({ references, all: false, dryRun: false })
  }

  const sizeOf = (image: typeof OLD) =>
    [image.manifest, image.config, ...image.layers].reduce((sum, { size }) => sum + size, 0)

  it('goes by tag and by digest, with the bytes that only it needs, as the plan says', async () => {
    const plan = await unlisted('app:1', 'nowhere:2')
    expect(plan).toEqual({
      images: ['docker.io/library/copy:1', 'docker.io/library/old:1', loose],
      spared: [],
      listed: 1,
      absent: ['nowhere:2'],
      freed: { blobs: 8, bytes: sizeOf(OLD) + sizeOf(LOOSE) },
      kept: { blobs: 0, bytes: 0 },
    })
    const before = await mirror.catalog.totals()
    const { freed } = await removeAll(plan.images)
    expect(freed).toEqual(plan.freed)
    const after = await mirror.catalog.totals()
    expect(before.bytes - after.bytes).toBe(plan.freed.bytes)
    expect((await unlisted('app:1')).images).toEqual([])
    await expectIntact(mirror, { retry: ['/v2/library/app/manifests/1'] })
  })

  it('leaves blobs that a listed image shares', async () => {
    const plan = await unlisted('app:1', 'copy:1')
    expect(plan.images).toEqual(['docker.io/library/old:1', loose])
    expect(plan.freed.bytes).toBe(sizeOf(LOOSE))
    expect(plan.kept.bytes).toBe(sizeOf(OLD))
    expect((await removeAll(plan.images)).freed).toEqual(plan.freed)
    const [layer = OLD.config] = OLD.layers
    expect(await mirror.store.stat(layer.digest)).toBeDefined()
  })

  it('is never pinned or held, and the plan says so', async () => {
    await mirror.maintenance.pin({ references: ['old:1'], all: false })
    await mirror.maintenance.hold('copy:1')
    expect(await unlisted('app:1')).toMatchObject({
      images: [loose],
      spared: [
        { image: 'docker.io/library/copy:1', reason: 'it is held' },
        { image: 'docker.io/library/old:1', reason: 'it is pinned' },
      ],
      freed: { bytes: sizeOf(LOOSE) },
    })
  })

  it('is not what is attached to a listed image, by tag or as a referrer', async () => {
    const signature = buildArtifact({ seed: 'cosign' })
    const sbom = buildArtifact({ subject: AMD.manifest, artifactType: 'a/sbom', seed: 'sbom' })
    const stray = buildArtifact({ seed: 'stray' })
    registry.add('library/app', signature, sigTag(INDEX.manifest.digest))
    registry.add('library/app', sbom)
    registry.add('library/old', stray, sigTag(OLD.manifest.digest))
    await pull(mirror, 'library/app', sigTag(INDEX.manifest.digest), signature)
    await pull(mirror, 'library/app', sbom.manifest.digest, sbom)
    await pull(mirror, 'library/old', sigTag(OLD.manifest.digest), stray)
    const plan = await unlisted('app:1', 'copy:1', loose)
    expect(plan.images).toEqual([
      'docker.io/library/old:1',
      `docker.io/library/old:${sigTag(OLD.manifest.digest)}`,
    ])
    expect(plan.freed.blobs).toBe(2)
    await removeAll(plan.images)
    for (const { digest } of [signature.manifest, sbom.manifest]) {
      expect(await get(mirror, `/v2/library/app/manifests/${digest}`)).toBe(digest)
    }
  })

  it('is not a tag whose digest is listed, nor an index of which the list names a part', async () => {
    const child = `docker.io/library/app@${AMD.manifest.digest}`
    const plan = await unlisted(`old@${OLD.manifest.digest}`, child)
    expect(plan).toMatchObject({
      images: ['docker.io/library/copy:1', loose],
      spared: [
        {
          image: 'docker.io/library/app:1',
          reason: `the list names ${AMD.manifest.digest}, which is a part of it`,
        },
      ],
      listed: 2,
      absent: [],
    })
  })

  it('includes a second tag of a listed image, of which only the tag goes', async () => {
    registry.add('library/app', INDEX, 'latest')
    await get(mirror, '/v2/library/app/manifests/latest')
    await mirror.settle()
    const plan = await unlisted('app:1', 'old:1', 'copy:1', loose)
    expect(plan.images).toEqual(['docker.io/library/app:latest'])
    expect(plan.freed).toEqual({ blobs: 0, bytes: 0 })
    await removeAll(plan.images)
    expect(await get(mirror, '/v2/library/app/manifests/1')).toBe(INDEX.manifest.digest)
  })

  it.each<[string, readonly string[], RegExp]>([
    ['is empty', [], /the list is empty/],
    ['has a line that is no image', ['app:1', 'App:1'], /cannot be used: "App:1" is no image/],
    ['names nothing that is here', ['a:1', 'b:1'], /none of its 2 images \(a:1, …\) is here/],
    ['names one image that is not here', ['a:1'], /keep nothing: a:1 is not here/],
  ])('is nothing where the list %s', async (_, references, message) => {
    await expect(unlisted(...references)).rejects.toThrow(message)
  })
})
