import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { referrersTag } from '../../../src/oci/referrers.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { hurried, warm } from './warm.ts'

const IMAGE = buildImage({ seed: 'app' })
const INDEX = buildIndex([IMAGE])
const SBOM = buildArtifact({
  subject: IMAGE.manifest,
  artifactType: 'application/spdx+json',
  seed: 'sbom',
})
const SIGNATURE = buildArtifact({ seed: 'signature' })
/** Of the SBOM. */
const DEEP = buildArtifact({ seed: 'deep', subject: SBOM.manifest, artifactType: 'a/signature' })
const NAME = 'docker.io/library/app:1'

let registry: FakeRegistry
let mirror: TestMirror

async function start(referrersPage?: number): Promise<void> {
  registry = await FakeRegistry.start(
    referrersPage === undefined ? {} : { lists: { referrersPage } },
  )
  registry.add('library/app', INDEX, '1')
  mirror = await TestMirror.start({
    clock: hurried,
    upstreams: { 'docker.io': { registry, deps: { clock: hurried } } },
  })
}
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
})

const tagOf = (subject: Digest, kind: string) => `${subject.replace(':', '-')}.${kind}`

async function expectHere(path: string): Promise<void> {
  const response = await mirror.fetch(`/v2/library/app/${path}`)
  await response.arrayBuffer()
  expect([path, response.status]).toEqual([path, 200])
}

describe('with a referrers API', () => {
  beforeEach(() => start(10))

  it('brings referrers of the index and of each image, and theirs, with what they name', async () => {
    registry.add('library/app', SBOM)
    registry.add('library/app', DEEP)
    const { report } = await warm(mirror, ['app:1'])
    expect(report.images).toMatchObject([{ state: 'fetched', attachments: 2 }])
    expect(report.upstreams).toMatchObject([{ attachments: 2 }])
    await registry.stop()
    const answer = await mirror.fetch(`/v2/library/app/referrers/${IMAGE.manifest.digest}`)
    expect(await answer.json()).toMatchObject({
      manifests: [{ digest: SBOM.manifest.digest, artifactType: 'application/spdx+json' }],
    })
    for (const { manifest, layers } of [SBOM, DEEP]) {
      await expectHere(`manifests/${manifest.digest}`)
      for (const { digest } of layers) await expectHere(`blobs/${digest}`)
    }
    await registry.restart()
  })

  it('asks nobody about them without them', async () => {
    registry.add('library/app', SBOM)
    const { report } = await warm(mirror, ['app:1'], { referrers: false })
    expect(report.images).toMatchObject([{ state: 'fetched', attachments: 0 }])
    expect(registry.count({ kind: 'referrers' })).toBe(0)
    expect(registry.count({ method: 'HEAD' })).toBe(1)
  })

  it('asks about an image once, however many tags are it', async () => {
    registry.setTag('library/app', 'latest', INDEX.manifest.digest)
    await warm(mirror, ['app:1', 'app'], { jobs: 1 })
    expect(registry.count({ kind: 'referrers' })).toBe(2)
  })

  it.each([401, 403, 429, 500, 503])(
    'fails the image where its list is refused with %i: that is not "unsigned"',
    async (status) => {
      const action = { status, headers: { 'retry-after': '120' } }
      registry.inject({ kind: 'referrers', action })
      const { report } = await warm(mirror, ['app:1'])
      expect(report.images[0]).toMatchObject({
        image: NAME,
        state: 'failed',
        reason: expect.stringMatching(
          new RegExp(status === 401 ? '401|denied|refuse' : `${status}`),
        ),
      })
    },
  )
})

describe('without a referrers API', () => {
  beforeEach(() => start())

  it("brings what cosign's tags and the fallback tag name, and takes only 404 for none", async () => {
    registry.add('library/app', SIGNATURE, tagOf(INDEX.manifest.digest, 'sig'))
    registry.add('library/app', buildArtifact({ seed: 'att' }), tagOf(IMAGE.manifest.digest, 'att'))
    registry.add('library/app', SBOM)
    const list = buildReferrersIndex([
      { ...descriptor(SBOM.manifest), artifactType: 'application/spdx+json' },
    ])
    registry.addManifest('library/app', list, referrersTag(IMAGE.manifest.digest))
    const { report } = await warm(mirror, ['app:1'])
    expect(report.images).toMatchObject([{ state: 'fetched', attachments: 3 }])
    await registry.stop()
    await expectHere(`manifests/${tagOf(INDEX.manifest.digest, 'sig')}`)
    await expectHere(`manifests/${tagOf(IMAGE.manifest.digest, 'att')}`)
    await expectHere(`manifests/${SBOM.manifest.digest}`)
    for (const { digest } of SIGNATURE.layers) await expectHere(`blobs/${digest}`)
    await registry.restart()
  })

  it('leaves out what a list still names and the registry has deleted', async () => {
    const list = buildReferrersIndex([descriptor(SBOM.manifest)])
    registry.addManifest('library/app', list, referrersTag(IMAGE.manifest.digest))
    const { report } = await warm(mirror, ['app:1'])
    expect(report.images).toMatchObject([{ state: 'fetched', attachments: 0 }])
  })

  it.each([401, 403, 429, 500, 503])(
    'fails the image where the tag of a signature is refused with %i',
    async (status) => {
      const reference = tagOf(IMAGE.manifest.digest, 'sig')
      registry.inject({ reference, action: { status, headers: { 'retry-after': '120' } } })
      const { report } = await warm(mirror, ['app:1'])
      expect(report.images).toMatchObject([{ image: NAME, state: 'failed' }])
    },
  )
})
