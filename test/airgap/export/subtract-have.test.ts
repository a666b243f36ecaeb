import { describe, expect, it } from 'vitest'
import type { BundleBody } from '../../../src/airgap/bundle/bundle-header.ts'
import { identifyBundle } from '../../../src/airgap/bundle/bundle-header.ts'
import type { Have } from '../../../src/airgap/export/have.ts'
import { HAVE_NOTHING, haveOfBundle, joinHave } from '../../../src/airgap/export/have.ts'
import { subtractHave } from '../../../src/airgap/export/subtract-have.ts'
import type { ExportPlan } from '../../../src/core/airgap/export-api.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../../src/oci/media-types.ts'

const M1 = named('manifest 1')
const M2 = named('manifest 2')
const BASE = named('shared layer')
const L1 = named('layer 1')
const L2 = named('layer 2')
const OLD = named('an earlier bundle')

const PLAN: ExportPlan = {
  platforms: ['all'],
  images: [image('app:1', M1, [0, 2, 3]), image('app:2', M2, [1, 2, 4])],
  blobs: [
    { digest: M1, size: 1, mediaType: OCI_MANIFEST, kind: 'manifest' },
    { digest: M2, size: 2, mediaType: OCI_MANIFEST, kind: 'manifest' },
    { digest: BASE, size: 100, mediaType: '', kind: 'blob' },
    { digest: L1, size: 10, mediaType: '', kind: 'blob' },
    { digest: L2, size: 20, mediaType: '', kind: 'blob' },
  ],
  incomplete: [],
}

function named(text: string): Digest {
  return digestOf(Buffer.from(text))
}

function image(name: string, digest: Digest, parts: readonly number[]) {
  const manifest = { mediaType: OCI_MANIFEST, digest, size: 1 }
  return { image: `docker.io/acme/${name}`, manifest, platforms: 'all' as const, parts }
}

/** Who took in the first image, from a bundle. */
const FIRST: Have = {
  blobs: new Map([M1, BASE, L1].map((digest) => [digest, OLD])),
  images: new Map([['docker.io/acme/app:1', M1]]),
  parents: [{ id: OLD, name: 'week33', created: 1 }],
}

describe('what has to be carried', () => {
  it('is all of it to a side that has nothing', () => {
    const cargo = subtractHave(PLAN, HAVE_NOTHING)
    expect(cargo.images.map(({ isWhole }) => isWhole)).toEqual([true, true])
    expect(cargo.blobs.map(({ digest }) => digest)).toEqual([M1, M2, BASE, L1, L2])
    expect(cargo).toMatchObject({
      requires: [],
      parents: [],
      full: { images: 2, blobs: 5, bytes: 133 },
    })
  })

  it('is what changed, with a note of what it needs and of the bundle that had that', () => {
    const cargo = subtractHave(PLAN, FIRST)
    expect(cargo.images).toMatchObject([{ image: 'docker.io/acme/app:2', isWhole: false }])
    expect(cargo.blobs.map(({ digest }) => digest)).toEqual([M2, L2])
    expect(cargo.requires).toEqual([{ digest: BASE, size: 100, from: OLD }])
    expect(cargo.parents).toEqual(FIRST.parents)
  })

  it('is the blob of an image that the other side has by name only', () => {
    const blobs = new Map([...FIRST.blobs].filter(([digest]) => digest !== L1))
    const cargo = subtractHave(PLAN, { ...FIRST, blobs })
    expect(cargo.images).toHaveLength(2)
    expect(cargo.blobs.map(({ digest }) => digest)).toEqual([M2, L1, L2])
  })

  it('is a tag without a blob where only the tag has moved', () => {
    const blobs = new Map([M1, M2, BASE, L1, L2].map((digest) => [digest, undefined]))
    const cargo = subtractHave(PLAN, { ...FIRST, blobs, parents: [] })
    expect(cargo.images).toMatchObject([{ image: 'docker.io/acme/app:2', isWhole: false }])
    expect(cargo.blobs).toEqual([])
    expect(cargo.requires).toHaveLength(3)
  })

  it('is a tag that has moved back since the other side was last told of it', () => {
    const all = new Map(PLAN.blobs.map(({ digest }) => [digest, OLD]))
    const later = { ...FIRST, blobs: all, images: new Map([['docker.io/acme/app:1', M2]]) }
    const cargo = subtractHave(PLAN, joinHave([{ ...FIRST, blobs: all }, later]))
    expect(cargo.images.map(({ image }) => image)).toContain('docker.io/acme/app:1')
  })

  it('counts what a bundle required as well as what it held', () => {
    const body: BundleBody = {
      version: 1,
      created: 7,
      tool: 'oci-mirror 1',
      images: [],
      blobs: [{ digest: M2, size: 2 }],
      requires: [{ digest: BASE, size: 100, from: OLD }],
      parents: [],
    }
    const header = identifyBundle(body)
    const have = joinHave([haveOfBundle(header, 'week34'), FIRST])
    expect(have.blobs).toEqual(
      new Map([
        [BASE, OLD],
        [M2, header.id],
        [M1, OLD],
        [L1, OLD],
      ]),
    )
    expect(have.parents.map(({ name }) => name)).toEqual(['week34', 'week33'])
  })
})
