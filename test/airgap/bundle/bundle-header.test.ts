import { describe, expect, it } from 'vitest'
import { BundleError } from '../../../src/airgap/bundle/bundle-error.ts'
import type { BundleBody } from '../../../src/airgap/bundle/bundle-header.ts'
import {
  formatBundleHeader,
  idOf,
  identifyBundle,
} from '../../../src/airgap/bundle/bundle-header.ts'
import { parseBundleHeader } from '../../../src/airgap/bundle/parse-bundle-header.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../../src/oci/media-types.ts'

const A = digestOf(Buffer.from('a'))
const B = digestOf(Buffer.from('b'))
const C = digestOf(Buffer.from('c'))
const D = digestOf(Buffer.from('d'))

const BODY: BundleBody = {
  version: 1,
  created: 1_700_000_000_000,
  tool: 'oci-mirror 1.2.3',
  images: [
    {
      image: 'docker.io/library/app:1',
      manifest: { mediaType: OCI_MANIFEST, digest: A, size: 10 },
      platforms: ['linux/amd64'],
      checkedAt: 5,
      pinned: true,
    },
  ],
  blobs: [
    { digest: A, size: 10, mediaType: OCI_MANIFEST },
    { digest: B, size: 20 },
  ],
  requires: [{ digest: C, size: 30, from: D }],
  parents: [{ id: D, name: 'week33', created: 4 }],
}

const PARTS: BundleBody = {
  ...BODY,
  parts: { count: 2, size: 4096 },
  blobs: [
    { digest: A, size: 10, part: 1 },
    {
      digest: B,
      size: 20,
      pieces: [
        { part: 1, size: 12, digest: C },
        { part: 2, size: 8, digest: D },
      ],
    },
  ],
  requires: [],
}

/** The header with something else in it, and the id that it then has. */
function changed(change: object, body: BundleBody = BODY): Buffer {
  const value = { ...body, ...change }
  return Buffer.from(JSON.stringify({ ...value, id: idOf(value) }))
}

describe('the header of a bundle', () => {
  it('is read back as it was written, whole or of one part', () => {
    const whole = identifyBundle(BODY)
    expect(parseBundleHeader(formatBundleHeader(whole))).toEqual(whole)
    const parts = identifyBundle(PARTS)
    expect(parseBundleHeader(formatBundleHeader(parts))).toEqual(parts)
    expect(parseBundleHeader(formatBundleHeader(parts, 2))).toEqual({ ...parts, part: 2 })
  })

  it('has one id in all its parts, whatever the order of its members', () => {
    const { id } = identifyBundle(BODY)
    expect(idOf({ id, part: 3, ...Object.fromEntries(Object.entries(BODY).toReversed()) })).toBe(id)
    expect(idOf({ ...BODY, created: BODY.created + 1 })).not.toBe(id)
  })

  it('may say more than this version knows', () => {
    expect(parseBundleHeader(changed({ trust: { root: 'x' } }))).toMatchObject({ tool: BODY.tool })
  })

  it('of a newer version is refused by naming both, and who wrote it', () => {
    const read = () => parseBundleHeader(changed({ version: 2, tool: 'oci-mirror 9.0.0' }))
    expect(read).toThrow(
      'the bundle was written by "oci-mirror 9.0.0" in version 2 of the format, and this oci-mirror reads version 1: update it',
    )
    expect(problemOf(read)).toBe('newer')
  })

  it('that was changed is damaged', () => {
    const text = formatBundleHeader(identifyBundle(BODY)).toString().replace('app:1', 'app:2')
    expect(problemOf(() => parseBundleHeader(Buffer.from(text)))).toBe('damaged')
  })

  it.each<[string, Buffer]>([
    ['is not JSON', Buffer.from('{')],
    ['is not JSON', Buffer.from([0xff, 0xfe])],
    ['is not a JSON object', Buffer.from('[]')],
    ['has no version', changed({ version: '1' })],
    ['has a "created" that is no whole number', changed({ created: -1 })],
    ['has a "tool" that is no text', changed({ tool: 'a\u001B[2J' })],
    ['has no list "images"', changed({ images: {} })],
    ['has an image without a manifest', changed({ images: [{ image: 'x', platforms: 'all' }] })],
    [
      'has an image without platforms',
      changed({ images: [{ ...BODY.images[0], platforms: 'x' }] }),
    ],
    ['has no list "blobs"', changed({ blobs: null })],
    ['has a blob that is no object', changed({ blobs: [1] })],
    ['has a "digest" that is no digest', changed({ blobs: [{ digest: '../x', size: 1 }] })],
    ['has a "size" that is no whole number', changed({ blobs: [{ digest: A, size: 1e300 }] })],
    [`names ${A} twice`, changed({ blobs: [...BODY.blobs, BODY.blobs[0]] })],
    [`names ${A} twice`, changed({ requires: [{ digest: A, size: 10 }] })],
    ['names part 1 of a bundle without parts', changed({ part: 1 })],
    ['cannot have 0 parts', changed({ parts: { count: 0, size: 1 } }, PARTS)],
    ['cannot have 10000 parts', changed({ parts: { count: 10_000, size: 1 } }, PARTS)],
    ['names part 3 of 2', changed({ blobs: [{ digest: A, size: 1, part: 3 }] }, PARTS)],
    [
      'has a blob of 20 bytes in pieces of 12 in all',
      changed(
        { blobs: [{ ...PARTS.blobs[1], pieces: [{ part: 1, size: 12, digest: C }] }] },
        PARTS,
      ),
    ],
  ])('that %s is refused', (what, bytes) => {
    const read = () => parseBundleHeader(bytes)
    expect(read).toThrow(`mirror-bundle.json ${what}`)
    expect(problemOf(read)).toBe('refused')
  })
})

function problemOf(task: () => unknown): string | undefined {
  try {
    task()
  } catch (reason) {
    if (reason instanceof BundleError) return reason.problem
    throw reason
  }
  return undefined
}
