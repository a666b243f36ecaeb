import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ArrivedImage, ImportCatalog } from '../../src/core/airgap/import-catalog.ts'
import type { Catalog } from '../../src/core/ports.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, RepositoryName, Tag, UpstreamName } from '../../src/oci/reference.ts'

export interface ImportCatalogUnderTest {
  readonly catalog: Catalog
  readonly imports: ImportCatalog
  hold(repository: Repository, tag: Tag, manifest: Descriptor): Promise<void>
  dispose(): Promise<void>
}

const repositoryOf = (upstream: string, name: string): Repository => ({
  upstream: upstream as UpstreamName,
  name: name as RepositoryName,
})
const described = (text: string, mediaType = OCI_MANIFEST): Descriptor => ({
  mediaType,
  digest: digestOf(new TextEncoder().encode(text)),
  size: text.length,
})
const HUB = repositoryOf('docker.io', 'library/alpine')
const QUAY = repositoryOf('quay.io', 'acme/app')
const TAG = '3' as Tag
const MANIFEST = described('a manifest')
const OTHER = described('another manifest')
const LAYER = described('a layer', 'application/vnd.oci.image.layer.v1.tar')
const ORIGIN = { id: 'sha256:1', name: 'week34', created: 10 }

const arrived = (changes: Partial<ArrivedImage> = {}): ArrivedImage => ({
  repository: HUB,
  manifest: MANIFEST,
  tag: TAG,
  checkedAt: 100,
  manifests: [{ manifest: MANIFEST, children: [LAYER] }],
  parts: [MANIFEST.digest, LAYER.digest],
  origin: ORIGIN,
  overwrite: false,
  pin: false,
  at: 500,
  ...changes,
})

/** The contract of ImportCatalog, beside the Catalog that it belongs to. */
export function importCatalogConformance(
  name: string,
  create: () => Promise<ImportCatalogUnderTest>,
): void {
  describe(`${name} as the catalog of imports`, () => {
    let subject: ImportCatalogUnderTest
    let catalog: Catalog
    let imports: ImportCatalog
    beforeEach(async () => {
      subject = await create()
      catalog = subject.catalog
      imports = subject.imports
      for (const { digest, size } of [MANIFEST, OTHER, LAYER]) {
        await catalog.landed(undefined, digest, size, 1)
      }
    })
    afterEach(() => subject.dispose())

    it('knows to whom a blob belongs', async () => {
      expect(await imports.part(HUB, described('nothing').digest)).toBeUndefined()
      expect(await imports.part(HUB, LAYER.digest)).toEqual({
        size: LAYER.size,
        isDurable: false,
        isLinked: false,
        upstreams: [],
      })
      await imports.bring(LAYER.digest, 'sha256:1')
      await imports.bring(LAYER.digest, 'sha256:2')
      expect(await imports.part(HUB, LAYER.digest)).toMatchObject({ broughtBy: 'sha256:1' })
      await catalog.landed(QUAY, LAYER.digest, LAYER.size, 2)
      await imports.bring(LAYER.digest, 'sha256:1')
      expect(await imports.part(HUB, LAYER.digest)).toEqual({
        size: LAYER.size,
        isDurable: false,
        isLinked: false,
        upstreams: ['quay.io'],
      })
      expect(await imports.part(QUAY, LAYER.digest)).toMatchObject({ isLinked: true })
    })

    it('gives the repository the image: tag, manifest and links', async () => {
      await imports.bring(LAYER.digest, 'sha256:1')
      expect(await imports.commit(arrived())).toBe('committed')
      expect(await catalog.resolve(HUB, TAG)).toMatchObject({ manifest: MANIFEST, checkedAt: 100 })
      expect((await catalog.holding(HUB, LAYER.digest)).standing).toBe('proved')
      expect((await catalog.holding(QUAY, LAYER.digest)).standing).toBeUndefined()
      expect(await imports.part(HUB, LAYER.digest)).not.toHaveProperty('broughtBy')
    })

    it('does nothing where a part has gone', async () => {
      await catalog.entomb(LAYER.digest)
      expect(await imports.commit(arrived())).toBe('gone')
      expect(await catalog.resolve(HUB, TAG)).toBeUndefined()
      expect((await catalog.holding(HUB, MANIFEST.digest)).standing).toBeUndefined()
    })

    it('leaves a tag that is newer, unless it is to be overwritten', async () => {
      await catalog.record(HUB, OTHER, [], { tag: TAG, checkedAt: 200 })
      expect(await imports.commit(arrived())).toBe('kept')
      expect((await catalog.resolve(HUB, TAG))?.manifest).toEqual(OTHER)
      expect(await imports.mark(HUB, TAG)).toBeUndefined()
      expect(await imports.commit(arrived({ overwrite: true }))).toBe('committed')
      expect(await catalog.resolve(HUB, TAG)).toMatchObject({ manifest: MANIFEST, checkedAt: 100 })
    })

    it('leaves a tag that is held, and the later check of the same digest', async () => {
      await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 200 })
      expect(await imports.commit(arrived())).toBe('committed')
      expect(await catalog.resolve(HUB, TAG)).toMatchObject({ checkedAt: 200 })
      await subject.hold(HUB, TAG, MANIFEST)
      const other = { manifest: OTHER, manifests: [{ manifest: OTHER, children: [] }] }
      const late = arrived({ ...other, parts: [OTHER.digest], checkedAt: 900, overwrite: true })
      expect(await imports.commit(late)).toBe('kept')
      expect((await catalog.resolve(HUB, TAG))?.manifest).toEqual(MANIFEST)
    })

    it('keeps an imported tag from being dropped, as long as it is that', async () => {
      await imports.commit(arrived())
      expect(await imports.mark(HUB, TAG)).toEqual({ id: 'sha256:1', name: 'week34', at: 500 })
      expect(await catalog.keepsTag(HUB, TAG)).toBe(true)
      expect(await catalog.dropTag(HUB, TAG, 600)).toBe(false)
      await catalog.record(HUB, OTHER, [], { tag: TAG, checkedAt: 700 })
      expect(await imports.mark(HUB, TAG)).toBeUndefined()
      expect(await catalog.keepsTag(HUB, TAG)).toBe(false)
      expect(await catalog.dropTag(HUB, TAG, 800)).toBe(true)
    })

    it('pins if that is asked for', async () => {
      await imports.commit(arrived())
      expect(await imports.isPinned(HUB, MANIFEST.digest)).toBe(false)
      await imports.commit(arrived({ pin: true }))
      expect(await imports.isPinned(HUB, MANIFEST.digest)).toBe(true)
      expect(await catalog.entomb(LAYER.digest, 'pinned')).toBe(false)
    })

    it('remembers which bundles were imported', async () => {
      await imports.note(ORIGIN, 500)
      await imports.note({ name: 'nameless.tar', created: 1 }, 500)
      expect(await imports.known(['sha256:0', 'sha256:1'])).toEqual(['sha256:1'])
    })
  })
}
