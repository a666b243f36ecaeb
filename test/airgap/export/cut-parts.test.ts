import { describe, expect, it } from 'vitest'
import type { BundleBlob } from '../../../src/airgap/bundle/bundle-header.ts'
import { blobEntry, pieceEntry } from '../../../src/airgap/bundle/entry-name.ts'
import { tarEntryBytes } from '../../../src/airgap/bundle/write-tar.ts'
import { cutParts } from '../../../src/airgap/export/cut-parts.ts'
import { digestOf } from '../../../src/oci/digest.ts'

const MIB = 1024 * 1024
const ROOM = 2 * MIB

function blob(name: string, size: number): BundleBlob {
  return { digest: digestOf(Buffer.from(name)), size }
}

function cut(...blobs: BundleBlob[]) {
  return (cutParts(blobs, ROOM) ?? []).map(({ name, part, start, size }) => ({
    name,
    part,
    start,
    size,
  }))
}

function bytesByPart(...blobs: BundleBlob[]): ReadonlyMap<number, number> {
  const bytes = new Map<number, number>()
  for (const { name, part, size } of cut(...blobs)) {
    bytes.set(part, (bytes.get(part) ?? 0) + tarEntryBytes(name, size))
  }
  return bytes
}

describe('cutting a bundle into parts', () => {
  it('fills a part to its last byte', () => {
    const first = blob('first', MIB - 512)
    const second = blob('second', MIB - 512)
    const third = blob('third', 1)
    expect(bytesByPart(first, second, third)).toEqual(
      new Map([
        [1, ROOM],
        [2, 1024],
      ]),
    )
  })

  it('begins a new one at the edge of a blob that is one byte too large', () => {
    const first = blob('first', MIB - 512)
    const second = blob('second', MIB - 511)
    expect(cut(first, second).map(({ part }) => part)).toEqual([1, 2])
  })

  it('does not cut a blob that fits a part exactly', () => {
    const exact = blob('exact', ROOM - 512)
    expect(cut(blob('before', 1), exact, blob('after', 1))).toEqual([
      expect.objectContaining({ part: 1 }),
      { name: blobEntry(exact.digest), part: 2, start: 0, size: exact.size },
      expect.objectContaining({ part: 3 }),
    ])
  })

  it('cuts what is larger than a part, using what is left of the one before', () => {
    const large = blob('large', 5 * MIB - 8192)
    const pieces = cut(blob('before', MIB), large, blob('after', 10))
    expect(pieces.map(({ part }) => part)).toEqual([1, 1, 2, 3, 3])
    expect(pieces[1]).toEqual({
      name: pieceEntry(large.digest, 1),
      part: 1,
      start: 0,
      size: MIB - 1024,
    })
    const own = pieces.filter(({ name }) => name.startsWith(blobEntry(large.digest)))
    let end = 0
    for (const { start, size } of own) {
      expect(start).toBe(end)
      end += size
    }
    expect(end).toBe(large.size)
    for (const bytes of bytesByPart(blob('before', MIB), large).values()) {
      expect(bytes).toBeLessThanOrEqual(ROOM)
    }
  })

  it('does not leave a crumb of it in what is left of a part', () => {
    const pieces = cut(blob('before', ROOM - 1024 - 60_000), blob('large', 3 * MIB))
    expect(pieces.map(({ part }) => part)).toEqual([1, 2, 3])
  })

  it('gives up where it would take more parts than there are numbers', () => {
    const huge = blob('huge', 10_000 * ROOM)
    expect(cutParts([huge], ROOM)).toBeUndefined()
  })
})
