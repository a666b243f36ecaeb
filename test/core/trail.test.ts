import { describe, expect, it } from 'vitest'
import { Trail } from '../../src/core/trail.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import type { Digest } from '../../src/oci/digest.ts'
import type { Repository } from '../../src/oci/reference.ts'

const REPOSITORY = { upstream: 'docker.io', name: 'acme/app' } as Repository
const MIB = 1024 * 1024
const idOf = (n: number) => `sha256:${String(n).padStart(64, '0')}` as Digest

function trailOf(...sizes: readonly number[]): Trail {
  const blobs = sizes.map((size, n): Descriptor => ({ digest: idOf(n), size, mediaType: '' }))
  return new Trail(REPOSITORY, blobs)
}

/** Positions of what is begun now. */
function begin(trail: Trail): readonly number[] {
  const begun: number[] = []
  for (let next = trail.begin(); next !== undefined; next = trail.begin()) {
    begun.push(trail.blobs.indexOf(next))
  }
  return begun
}

function upTo(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, n) => first + n)
}

describe('what is fetched ahead of a client', () => {
  const image = () => trailOf(...Array.from({ length: 41 }, () => MIB))

  it('is the next sixteen blobs, and one more for each that the client asks for', () => {
    const trail = image()
    trail.asked(idOf(0))
    expect(begin(trail)).toEqual(upTo(1, 16))
    expect(begin(trail)).toEqual([])
    trail.asked(idOf(1))
    expect(begin(trail)).toEqual([17])
    trail.asked(idOf(2))
    trail.asked(idOf(3))
    expect(begin(trail)).toEqual([18, 19])
  })

  it('moves with the client and not with what others ask for a second time', () => {
    const trail = image()
    trail.asked(idOf(0))
    begin(trail)
    trail.asked(idOf(0))
    trail.asked(idOf(99))
    expect(begin(trail)).toEqual([])
  })

  it('is nothing that the client has asked for itself, or that was begun before', () => {
    const trail = image()
    trail.asked(idOf(3))
    trail.asked(idOf(0))
    expect(begin(trail)).toEqual([1, 2, ...upTo(4, 17)])
    for (const n of upTo(1, 40)) trail.asked(idOf(n))
    expect(begin(trail)).toEqual([])
  })

  it('begins again at the front when the client asks for the last one first', () => {
    const trail = image()
    trail.asked(idOf(39))
    expect(begin(trail)).toEqual([40, ...upTo(0, 14)])
  })

  it('does not count what is here already', () => {
    const trail = image()
    trail.asked(idOf(0))
    begin(trail)
    trail.pass(idOf(1))
    trail.pass(idOf(2))
    expect(begin(trail)).toEqual([17, 18])
  })

  it('is at most 128 MiB, but always one', () => {
    const trail = trailOf(1, 100 * MIB, 28 * MIB, 1, 1000 * MIB, 1000 * MIB)
    trail.asked(idOf(0))
    expect(begin(trail)).toEqual([1, 2])
    trail.asked(idOf(1))
    expect(begin(trail)).toEqual([3])
    trail.asked(idOf(2))
    expect(begin(trail)).toEqual([])
    trail.asked(idOf(3))
    expect(begin(trail)).toEqual([4])
    trail.asked(idOf(4))
    expect(begin(trail)).toEqual([5])
  })
})
