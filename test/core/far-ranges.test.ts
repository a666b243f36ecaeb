import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { FarRanges } from '../../src/core/far-ranges.ts'
import { Pace } from '../../src/core/pace.ts'
import type { OpenBlob } from '../../src/core/ports.ts'
import type { Repository } from '../../src/oci/reference.ts'
import { ManualClock } from '../support/clock.ts'
import { buildBlob } from '../support/images.ts'
import { repo } from '../upstream/open-for.ts'
import { Opened } from '../upstream/opened.ts'

const MIB = 1024 * 1024
const BLOB = buildBlob('far', 40 * MIB)
const REPOSITORY = { upstream: 'docker.io', name: repo('library/x') } as Repository
const RANGE = { start: 30 * MIB, end: 33 * MIB }
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const { signal } = new AbortController()

/** A download that brings everything in the end. */
function followed(): OpenBlob {
  return {
    size: BLOB.size,
    pump: ({ start, end }, write) => write(BLOB.bytes.subarray(start, end)),
    close: async () => {},
  }
}

describe('a far range', () => {
  const opened = new Opened()
  afterEach(() => opened.close())

  it('that ends while its client is slow to take it goes on behind what he was given', async () => {
    const clock = new ManualClock()
    const registry = await opened.registry()
    registry.addBlob('library/x', BLOB)
    const course = { pace: new Pace(clock), failed: signal, isSuspect: false, clock, log: silent }
    const upstream = opened.upstream(registry)
    const blob = await new FarRanges(course).open(
      { repository: REPOSITORY, digest: BLOB.digest, range: RANGE, size: BLOB.size },
      followed(),
      upstream,
      { until: Infinity, signal },
    )
    if (blob === undefined) throw new Error('followed the download at once')
    const slow = Promise.withResolvers<void>()
    const pieces: Buffer[] = []
    const writing = blob.pump(
      RANGE,
      async (chunk) => {
        pieces.push(Buffer.from(chunk))
        if (pieces.length === 1) await slow.promise
      },
      signal,
    )
    await expect.poll(() => pieces.length).toBe(1)
    // It may take half a minute, and not longer.
    await clock.advance(30_000)
    for (let turn = 0; turn < 10; turn += 1) await nextTurn()
    expect(pieces).toHaveLength(1)
    slow.resolve()
    await writing
    await blob.close()
    expect(Buffer.concat(pieces).equals(BLOB.bytes.subarray(RANGE.start, RANGE.end))).toBe(true)
    expect(clock.sleeping()).toBe(0)
  })
})
