import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestHex, digestOf } from '../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { buildArtifact, buildReferrersIndex, described, descriptor } from '../support/artifacts.ts'
import { ManualClock } from '../support/clock.ts'
import type { ListOptions } from '../support/fake-lists.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestBlob, TestImage } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import { TestMirror } from '../support/test-mirror.ts'

const NAME = 'library/app'
const SIGNATURE_TYPE = 'application/vnd.example.signature'

/** A tree whose every name is a sha512 digest: an artifact, and a signature of it. */
const SUBJECT = buildArtifact({ algorithm: 'sha512', configType: 'a/b', seed: 'subject' })
const SIGNATURE = buildArtifact({
  algorithm: 'sha512',
  subject: SUBJECT.manifest,
  artifactType: SIGNATURE_TYPE,
})
const SIGNATURE_ENTRY = { ...descriptor(SIGNATURE.manifest), artifactType: SIGNATURE_TYPE }

describe('artifacts', () => {
  let registry: FakeRegistry
  let mirror: TestMirror

  async function start(lists: ListOptions): Promise<void> {
    registry = await FakeRegistry.start({ lists })
    const clock = new ManualClock()
    mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } }, clock })
  }

  afterEach(async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  })

  async function expectSame(path: string, { bytes, mediaType }: TestBlob): Promise<void> {
    const response = await mirror.fetch(`/v2/${NAME}/${path}`)
    expect(response.status).toBe(200)
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true)
    const type = path.startsWith('manifests/') ? mediaType : 'application/octet-stream'
    expect(response.headers.get('content-type')).toBe(type)
  }

  async function expectWhole({ manifest, config, layers }: TestImage): Promise<void> {
    await expectSame(`manifests/${manifest.digest}`, manifest)
    for (const blob of [config, ...layers]) await expectSame(`blobs/${blob.digest}`, blob)
  }

  async function referrersOf({ digest }: TestBlob): Promise<unknown> {
    const response = await mirror.fetch(`/v2/${NAME}/referrers/${digest}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, OCI_INDEX])
    return ((await response.json()) as { manifests: unknown }).manifests
  }

  describe('by sha512', () => {
    const expectEverything = async () => {
      await expectSame('manifests/v1', SUBJECT.manifest)
      await expectWhole(SUBJECT)
      expect(await referrersOf(SUBJECT.manifest)).toEqual([SIGNATURE_ENTRY])
      await expectWhole(SIGNATURE)
    }

    it('are pulled with what refers to them, and again while the registry is down', async () => {
      await start({ referrersPage: 10 })
      registry.add(NAME, SUBJECT, 'v1')
      registry.add(NAME, SIGNATURE)
      await expectEverything()
      await mirror.settle()
      await registry.stop()
      await expectEverything()
    })

    it('are found by a fallback tag that is cut to 64 characters', async () => {
      await start({})
      const tag = `sha512-${digestHex(SUBJECT.manifest.digest).slice(0, 64)}`
      registry.add(NAME, SUBJECT, 'v1')
      registry.add(NAME, SIGNATURE)
      registry.addManifest(NAME, buildReferrersIndex([SIGNATURE_ENTRY]), tag)
      await expectEverything()
      expect(registry.requests.map(({ reference }) => reference)).toContain(tag)
    })

    it('are never stored with other bytes', async () => {
      await start({})
      const { digest } = SUBJECT.config
      registry.addBlob(NAME, { ...SUBJECT.config, bytes: Buffer.from('[]') })
      expect((await mirror.fetch(`/v2/${NAME}/blobs/${digest}`)).status).toBe(502)
      await mirror.settle()
      expect(await mirror.store.stat(digest)).toBeUndefined()
    })
  })

  describe('signed with cosign', () => {
    const IMAGE = buildImage({ layers: 1 })
    const hex = digestHex(IMAGE.manifest.digest)
    const signature = buildArtifact({ seed: 'cosign' })

    beforeEach(() => start({}))

    it.each(['sig', 'att', 'sbom'])('have a tag that ends in .%s, as any tag', async (suffix) => {
      registry.add(NAME, IMAGE, 'v1')
      registry.add(NAME, signature, `sha256-${hex}.${suffix}`)
      await expectSame(`manifests/sha256-${hex}.${suffix}`, signature.manifest)
      await expectWhole(signature)
      await mirror.settle()
      await registry.stop()
      await expectSame(`manifests/sha256-${hex}.${suffix}`, signature.manifest)
      await expectWhole(signature)
    })

    it('are said to be unsigned by the registry alone, not by an outage', async () => {
      registry.add(NAME, IMAGE, 'v1')
      const path = `/v2/${NAME}/manifests/sha256-${hex}.sig`
      const unsigned = await mirror.fetch(path)
      expect([unsigned.status, await unsigned.json()]).toMatchObject([
        404,
        { errors: [{ code: 'MANIFEST_UNKNOWN' }] },
      ])
      await registry.stop()
      expect((await mirror.fetch(path.replace('.sig', '.att'))).status).toBe(503)
    })
  })

  it.each<[string, TestBlob]>([
    ['a manifest of an unknown type', described('application/vnd.example+yaml', Buffer.from('a:'))],
    ['bytes that are no text', described('x/y', Buffer.from([0, 255, 10, 13, 0]))],
    [
      'a manifest with odd types inside',
      described(
        OCI_MANIFEST,
        Buffer.from(
          `{"schemaVersion":2,"mediaType":"${OCI_MANIFEST}","artifactType":"ä/ö","config":` +
            `{"mediaType":"","digest":"${digestOf(Buffer.from('{}'))}","size":2},"layers":` +
            `[{"mediaType":"X","digest":"md5:1","size":-1}],"subject":null}\n`,
        ),
      ),
    ],
  ])('%s pass unchanged, by tag and by digest, cold and offline', async (_, manifest) => {
    await start({})
    registry.addManifest(NAME, manifest, 'v1')
    const paths = ['manifests/v1', `manifests/${manifest.digest}`]
    for (const path of paths) await expectSame(path, manifest)
    await registry.stop()
    for (const path of paths) await expectSame(path, manifest)
  })
})
