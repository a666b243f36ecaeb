import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Catalog } from '../../src/core/ports.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Repository, RepositoryName, Tag, UpstreamName } from '../../src/oci/reference.ts'
import type { Referrer } from '../../src/oci/referrers.ts'

export interface CatalogUnderTest {
  readonly catalog: Catalog
  /** The same data, opened again by a new process. */
  reopen(): Promise<Catalog>
  dispose(): Promise<void>
}

const repositoryOf = (upstream: string, name: string): Repository => ({
  upstream: upstream as UpstreamName,
  name: name as RepositoryName,
})
const HUB = repositoryOf('docker.io', 'library/alpine')
const OTHER = repositoryOf('docker.io', 'library/busybox')
const QUAY = repositoryOf('quay.io', 'library/alpine')
const TAG = 'latest' as Tag

const described = (text: string, mediaType = OCI_MANIFEST): Descriptor => ({
  mediaType,
  digest: digestOf(new TextEncoder().encode(text)),
  size: text.length,
})
const MANIFEST = described('a manifest')
const NEWER = described('a newer manifest')
const LAYER = described('a layer', 'application/vnd.oci.image.layer.v1.tar')

/** The contract of Catalog. New cases go here, not into one catalog's file. */
export function catalogConformance(name: string, create: () => Promise<CatalogUnderTest>): void {
  describe(`${name} as a catalog`, () => {
    let subject: CatalogUnderTest
    let catalog: Catalog
    beforeEach(async () => {
      subject = await create()
      catalog = subject.catalog
    })
    afterEach(() => subject.dispose())

    describe('tags', () => {
      it('are found with their manifest, in their own repository only', async () => {
        await catalog.record(HUB, MANIFEST, [LAYER], { tag: TAG, checkedAt: 1000 })
        expect(await catalog.resolve(HUB, TAG)).toEqual({
          tag: TAG,
          manifest: MANIFEST,
          checkedAt: 1000,
        })
        expect(await catalog.resolve(HUB, 'LATEST' as Tag)).toBeUndefined()
        expect(await catalog.resolve(OTHER, TAG)).toBeUndefined()
        expect(await catalog.resolve(QUAY, TAG)).toBeUndefined()
      })

      it('move to a newer manifest, and not back to an older check', async () => {
        await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 1000 })
        await catalog.record(HUB, NEWER, [], { tag: TAG, checkedAt: 2000 })
        expect((await catalog.resolve(HUB, TAG))?.manifest).toEqual(NEWER)
        await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 1500 })
        expect(await catalog.resolve(HUB, TAG)).toEqual({
          tag: TAG,
          manifest: NEWER,
          checkedAt: 2000,
        })
      })

      it('are confirmed by a newer check of the same digest only', async () => {
        await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 1000 })
        await catalog.confirm(HUB, { tag: TAG, checkedAt: 3000 }, MANIFEST.digest)
        await catalog.confirm(HUB, { tag: TAG, checkedAt: 2000 }, MANIFEST.digest)
        await catalog.confirm(HUB, { tag: TAG, checkedAt: 4000 }, NEWER.digest)
        await catalog.confirm(OTHER, { tag: TAG, checkedAt: 5000 }, MANIFEST.digest)
        expect((await catalog.resolve(HUB, TAG))?.checkedAt).toBe(3000)
      })

      it('can be dropped, while their manifest stays', async () => {
        await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 1000 })
        await catalog.dropTag(HUB, TAG, 2000)
        expect(await catalog.resolve(HUB, TAG)).toBeUndefined()
        expect(await catalog.manifest(HUB, MANIFEST.digest)).toEqual(MANIFEST)
      })

      it('can be dropped although they are not there', async () => {
        await catalog.dropTag(HUB, TAG, 2000)
        await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 3000 })
        expect(await catalog.resolve(HUB, TAG)).toMatchObject({ manifest: MANIFEST })
      })

      it('are kept by nothing unless the operator says so', async () => {
        expect(await catalog.keepsTag(HUB, TAG)).toBe(false)
        await catalog.record(HUB, MANIFEST, [], { tag: TAG, checkedAt: 1000 })
        expect(await catalog.keepsTag(HUB, TAG)).toBe(false)
      })

      it('are listed in order, in parts, while their manifests are stored', async () => {
        const tags = ['1', '10', 'Z', 'a'] as Tag[]
        expect(await catalog.heldTags(HUB, '', 10)).toBeUndefined()
        for (const tag of tags.toReversed()) {
          await catalog.record(HUB, MANIFEST, [], { tag, checkedAt: 1000 })
        }
        await catalog.record(HUB, NEWER, [], { tag: '2' as Tag, checkedAt: 1000 })
        expect(await catalog.heldTags(HUB, '', 10)).toBeUndefined()
        await catalog.landed(HUB, MANIFEST.digest, MANIFEST.size, 1)
        expect(await catalog.heldTags(HUB, '', 10)).toEqual(tags)
        expect(await catalog.heldTags(HUB, '1', 2)).toEqual(['10', 'Z'])
        expect(await catalog.heldTags(HUB, '99', 10)).toEqual(['Z', 'a'])
        expect(await catalog.heldTags(HUB, 'a', 10)).toEqual([])
        expect(await catalog.heldTags(OTHER, '', 10)).toBeUndefined()
        await catalog.entomb(MANIFEST.digest)
        expect(await catalog.heldTags(HUB, '', 10)).toBeUndefined()
      })

      it('survive a restart', async () => {
        await catalog.record(HUB, MANIFEST, [LAYER], { tag: TAG, checkedAt: 1000 })
        const reopened = await subject.reopen()
        expect((await reopened.resolve(HUB, TAG))?.manifest).toEqual(MANIFEST)
      })
    })

    it('tells which stored manifests of the repository name a digest', async () => {
      await catalog.record(HUB, MANIFEST, [LAYER])
      await catalog.record(HUB, NEWER, [LAYER])
      await catalog.record(OTHER, MANIFEST, [LAYER])
      expect(await catalog.parents(HUB, LAYER.digest)).toEqual([])
      await catalog.landed(HUB, MANIFEST.digest, MANIFEST.size, 1)
      expect(await catalog.parents(HUB, LAYER.digest)).toEqual([MANIFEST.digest])
      expect(await catalog.parents(QUAY, LAYER.digest)).toEqual([])
      expect(await catalog.parents(HUB, MANIFEST.digest)).toEqual([])
    })

    it('keeps the media type of a manifest per repository', async () => {
      const asIndex = { ...MANIFEST, mediaType: OCI_INDEX }
      await catalog.record(HUB, MANIFEST, [])
      await catalog.record(QUAY, asIndex, [])
      expect(await catalog.manifest(HUB, MANIFEST.digest)).toEqual(MANIFEST)
      expect(await catalog.manifest(QUAY, MANIFEST.digest)).toEqual(asIndex)
      expect(await catalog.manifest(OTHER, MANIFEST.digest)).toBeUndefined()
    })

    describe('permission', () => {
      it('is proved where the bytes were downloaded, and nowhere else', async () => {
        await catalog.landed(HUB, LAYER.digest, LAYER.size, 1)
        expect(await catalog.holding(HUB, LAYER.digest)).toEqual({
          standing: 'proved',
          storedSize: LAYER.size,
          statedSize: undefined,
        })
        for (const repository of [OTHER, QUAY]) {
          expect(await catalog.holding(repository, LAYER.digest)).toEqual({
            standing: undefined,
            storedSize: LAYER.size,
            statedSize: undefined,
          })
        }
      })

      it('is proved by upstream for one repository', async () => {
        await catalog.landed(HUB, LAYER.digest, LAYER.size, 1)
        await catalog.link(OTHER, LAYER.digest)
        expect((await catalog.holding(OTHER, LAYER.digest)).standing).toBe('proved')
        expect((await catalog.holding(QUAY, LAYER.digest)).standing).toBeUndefined()
      })

      it('is named by a manifest only where the bytes came from the same upstream', async () => {
        await catalog.record(OTHER, MANIFEST, [LAYER])
        await catalog.record(QUAY, MANIFEST, [LAYER])
        expect((await catalog.holding(OTHER, LAYER.digest)).standing).toBeUndefined()
        await catalog.landed(HUB, LAYER.digest, LAYER.size, 1)
        expect((await catalog.holding(OTHER, LAYER.digest)).standing).toBe('named')
        expect((await catalog.holding(QUAY, LAYER.digest)).standing).toBeUndefined()
      })

      it('is not made by a proof that brought no bytes', async () => {
        await catalog.record(OTHER, MANIFEST, [LAYER])
        await catalog.link(HUB, LAYER.digest)
        expect((await catalog.holding(OTHER, LAYER.digest)).standing).toBeUndefined()
      })

      it('outlives the bytes', async () => {
        await catalog.landed(HUB, LAYER.digest, LAYER.size, 1)
        await catalog.forget(LAYER.digest)
        expect(await catalog.holding(HUB, LAYER.digest)).toEqual({
          standing: 'proved',
          storedSize: undefined,
          statedSize: undefined,
        })
      })
    })

    it('knows the size that a manifest of the repository states', async () => {
      await catalog.record(HUB, MANIFEST, [LAYER])
      expect((await catalog.holding(HUB, LAYER.digest)).statedSize).toBe(LAYER.size)
      expect((await catalog.holding(OTHER, LAYER.digest)).statedSize).toBeUndefined()
    })

    describe('stored blobs', () => {
      const blobs = ['one', 'two', 'three'].map((text) => described(text))

      beforeEach(async () => {
        for (const [at, { digest, size }] of blobs.entries())
          await catalog.landed(HUB, digest, size, at)
      })

      it('are counted once, however often they land', async () => {
        const total = { bytes: 11, blobs: 3 }
        expect(await catalog.totals()).toEqual(total)
        for (const { digest, size } of blobs) await catalog.landed(QUAY, digest, size, 9)
        expect(await catalog.totals()).toEqual(total)
        expect(await (await subject.reopen()).totals()).toEqual(total)
      })

      it('go in the order of their last use', async () => {
        const [one, two, three] = blobs.map(({ digest }) => digest)
        if (one !== undefined) catalog.touch(one, 100)
        const order = await Array.fromAsync(catalog.evictionOrder())
        expect(order.map(({ digest }) => digest)).toEqual([two, three, one])
        expect(order.at(-1)?.usedAt).toBe(100)
      })

      it('are out of reach as soon as they are entombed, and counted until they are forgotten', async () => {
        const [first] = blobs
        if (first === undefined) throw new Error('the test has no blobs')
        await catalog.entomb(first.digest)
        expect((await catalog.holding(HUB, first.digest)).storedSize).toBeUndefined()
        expect(await catalog.tombstones()).toEqual([first.digest])
        const order = await Array.fromAsync(catalog.evictionOrder(), ({ digest }) => digest)
        expect(order).not.toContain(first.digest)
        expect((await catalog.totals()).blobs).toBe(3)
        await catalog.forget(first.digest)
        await catalog.forget(first.digest)
        expect(await catalog.tombstones()).toEqual([])
        expect(await catalog.totals()).toEqual({ bytes: 8, blobs: 2 })
      })

      it('are not entombed while something names them, if that is asked for', async () => {
        const [first] = blobs
        if (first === undefined) throw new Error('the test has no blobs')
        expect(await catalog.entomb(first.digest, 'named')).toBe(false)
        expect(await catalog.tombstones()).toEqual([])
        expect(await catalog.entomb(first.digest, 'pinned')).toBe(true)
        expect(await catalog.entomb(LAYER.digest, 'pinned')).toBe(false)
        expect(await catalog.tombstones()).toEqual([first.digest])
      })

      it('come back from the grave when their files cannot go, and are the last to be tried', async () => {
        const [first, ...others] = blobs
        if (first === undefined) throw new Error('the test has no blobs')
        const before = await catalog.totals()
        await catalog.entomb(first.digest)
        await catalog.revive(first.digest)
        expect(await catalog.tombstones()).toEqual([])
        expect((await catalog.holding(HUB, first.digest)).storedSize).toBe(first.size)
        expect(await catalog.totals()).toEqual(before)
        const order = await Array.fromAsync(catalog.evictionOrder(), ({ digest }) => digest)
        expect(order).toHaveLength(3)
        expect(order[0]).toBe(others[0]?.digest)
      })

      it("are nobody's where they were brought by hand", async () => {
        await catalog.landed(undefined, LAYER.digest, LAYER.size, 5)
        expect(await catalog.holding(HUB, LAYER.digest)).toEqual({
          standing: undefined,
          storedSize: LAYER.size,
          statedSize: undefined,
        })
        await catalog.record(HUB, MANIFEST, [LAYER])
        expect((await catalog.holding(HUB, LAYER.digest)).standing).toBeUndefined()
        expect((await catalog.totals()).bytes).toBe(11 + LAYER.size)
      })

      it('come back from the grave when they land again', async () => {
        const [first] = blobs
        if (first === undefined) throw new Error('the test has no blobs')
        await catalog.entomb(first.digest)
        await catalog.landed(HUB, first.digest, first.size, 5)
        expect(await catalog.tombstones()).toEqual([])
        expect((await catalog.holding(HUB, first.digest)).storedSize).toBe(first.size)
      })
    })

    describe('referrers', () => {
      const signature: Referrer = {
        ...described('a signature'),
        artifactType: 'a/signature',
        annotations: { signer: 'alice' },
      }
      const bare: Referrer = described('an artifact of no type')

      async function hold(repository: Repository, referrer: Referrer): Promise<void> {
        await catalog.record(repository, { ...referrer, subject: MANIFEST.digest }, [])
        await catalog.landed(repository, referrer.digest, referrer.size, 1)
      }

      it('are manifests of the repository that name the subject', async () => {
        await hold(HUB, signature)
        await hold(HUB, bare)
        await hold(OTHER, bare)
        await catalog.record(HUB, NEWER, [])
        const held = await catalog.heldReferrers(HUB, MANIFEST.digest)
        expect(held).toHaveLength(2)
        expect(held).toEqual(expect.arrayContaining([signature, bare]))
        expect(await catalog.heldReferrers(OTHER, MANIFEST.digest)).toEqual([bare])
        expect(await catalog.heldReferrers(QUAY, MANIFEST.digest)).toEqual([])
        expect(await catalog.heldReferrers(HUB, NEWER.digest)).toEqual([])
        const reopened = await subject.reopen()
        expect(await reopened.heldReferrers(OTHER, MANIFEST.digest)).toEqual([bare])
      })

      it('are listed while their bytes are stored, and again when they come back', async () => {
        await catalog.record(HUB, { ...signature, subject: MANIFEST.digest }, [])
        expect(await catalog.heldReferrers(HUB, MANIFEST.digest)).toEqual([])
        await hold(HUB, signature)
        await catalog.entomb(signature.digest)
        expect(await catalog.heldReferrers(HUB, MANIFEST.digest)).toEqual([])
        await catalog.forget(signature.digest)
        await hold(HUB, signature)
        expect(await catalog.heldReferrers(HUB, MANIFEST.digest)).toEqual([signature])
      })

      it('are bounded', async () => {
        for (let n = 0; n < 300; n += 1) await hold(HUB, described(`artifact ${n}`))
        expect(await catalog.heldReferrers(HUB, MANIFEST.digest)).toHaveLength(256)
      })

      it('as upstream lists them are kept over a restart, the newest list only', async () => {
        const list = { referrers: [signature, bare], checkedAt: 2000, source: 'api' } as const
        const older = { referrers: [], checkedAt: 1000, source: 'tag' } as const
        await catalog.keepReferrerList(HUB, MANIFEST.digest, list)
        await catalog.keepReferrerList(HUB, MANIFEST.digest, older)
        await catalog.keepReferrerList(QUAY, MANIFEST.digest, older)
        const reopened = await subject.reopen()
        expect(await reopened.referrerList(HUB, MANIFEST.digest)).toEqual(list)
        expect(await reopened.referrerList(QUAY, MANIFEST.digest)).toEqual(older)
        expect(await reopened.referrerList(OTHER, MANIFEST.digest)).toBeUndefined()
        const same = { ...older, checkedAt: 2000 }
        await reopened.keepReferrerList(HUB, MANIFEST.digest, same)
        expect(await reopened.referrerList(HUB, MANIFEST.digest)).toEqual(same)
      })

      it('as upstream lists them tell of which repositories the API has answered', async () => {
        const list = { referrers: [], checkedAt: 1 }
        await catalog.keepReferrerList(HUB, MANIFEST.digest, { ...list, source: 'tag' })
        await catalog.keepReferrerList(HUB, NEWER.digest, { ...list, source: 'api' })
        await catalog.keepReferrerList(OTHER, MANIFEST.digest, { ...list, source: 'tag' })
        const reopened = await subject.reopen()
        expect(await reopened.hasListFromApi(HUB)).toBe(true)
        expect(await reopened.hasListFromApi(OTHER)).toBe(false)
        expect(await reopened.hasListFromApi(QUAY)).toBe(false)
      })

      it('as upstream lists them take bounded room: those that were checked first go', async () => {
        const annotations = { long: 'x'.repeat(1024 * 1024) }
        const referrers = Array.from({ length: 8 }, () => ({ ...bare, annotations }))
        const subjects = Array.from({ length: 10 }, (_, n) => described(`subject ${n}`).digest)
        for (const [checkedAt, digest] of subjects.entries()) {
          await catalog.keepReferrerList(HUB, digest, { referrers, checkedAt, source: 'api' })
        }
        const kept = await Array.fromAsync(subjects, (digest) => catalog.referrerList(HUB, digest))
        const checks = kept.map((list) => list?.checkedAt)
        expect(checks).toEqual([undefined, undefined, undefined, 3, 4, 5, 6, 7, 8, 9])
      })

      it('do not make a repository that nothing is held of', async () => {
        const list = { referrers: [bare], checkedAt: 1, source: 'api' } as const
        await catalog.keepReferrerList(HUB, MANIFEST.digest, list)
        expect(await catalog.repositories('', 10)).toEqual([])
      })
    })

    describe('repositories', () => {
      const all = [HUB, repositoryOf('docker.io', 'library/alpine-2'), OTHER, QUAY]

      beforeEach(async () => {
        for (const repository of all.toReversed()) await catalog.record(repository, MANIFEST, [])
        await catalog.landed(HUB, MANIFEST.digest, MANIFEST.size, 1)
      })

      it('are listed in order, in parts', async () => {
        expect(await catalog.repositories('', 10)).toEqual(all)
        expect(await catalog.repositories('', 1)).toEqual([HUB])
        expect(await catalog.repositories('docker.io/library/alpine', 2)).toEqual(all.slice(1, 3))
        expect(await catalog.repositories('docker.io/z', 10)).toEqual([QUAY])
        expect(await catalog.repositories('quay.io/library/alpine', 10)).toEqual([])
      })

      it('are listed while a manifest of them is stored', async () => {
        await catalog.record(repositoryOf('docker.io', 'library/empty'), NEWER, [])
        await catalog.landed(repositoryOf('docker.io', 'a/blob-only'), LAYER.digest, LAYER.size, 1)
        expect(await catalog.repositories('', 10)).toEqual(all)
        await catalog.entomb(MANIFEST.digest)
        expect(await catalog.repositories('', 10)).toEqual([])
      })
    })
  })
}
