import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OpenBlob, Relief } from '../../src/core/ports.ts'
import { DigestMismatch, NotKept } from '../../src/core/ports.ts'
import { Ring } from '../../src/core/ring.ts'
import { systemClock } from '../../src/core/system-clock.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { BlockPool } from '../../src/store/block-pool.ts'
import { BufferPool } from '../../src/store/buffer-pool.ts'
import { DiskSpool } from '../../src/store/disk-spool.ts'
import type { Fs } from '../../src/store/fs.ts'
import { seededBytes } from '../support/bytes.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const KIB = 1024
const MIB = 1024 * KIB
const WITHHELD = 32 * KIB
const content = Buffer.from(seededBytes('followers', 6 * MIB))
const never = new AbortController().signal

interface SpoolSettings {
  readonly path: string
  readonly fs: Fs
  readonly blocks: BlockPool
  readonly digest: Digest
  readonly size?: number | undefined
  readonly relief?: Relief
}

function openSpool({ size, relief, ...settings }: SpoolSettings): Promise<DiskSpool> {
  const pool = new BufferPool()
  return DiskSpool.open({ ...settings, size, relief, pool, onReleased: async () => {} })
}

/** Memory for a disk that refuses, as a download has it. */
function ringRelief(): Relief {
  let ring: Ring | undefined
  return {
    get ring() {
      return ring
    },
    refused: async () => (ring ??= new Ring(systemClock, () => {})),
  }
}

function followerOf(spool: DiskSpool): OpenBlob {
  const blob = spool.open()
  if (blob === undefined) throw new Error('the spool has closed')
  return blob
}

class Left extends Error {}

interface ReaderPlan {
  /** Comes when the download has got so far. */
  readonly joins: number
  readonly start: number
  readonly end: number
  /** Turns of the loop that each of its writes takes, over and over. */
  readonly turns: readonly number[]
  /** Bytes after which it hangs up. */
  readonly leaves: number
}

interface Reading {
  readonly plan: ReaderPlan
  readonly got: number
  /** A piece was not what was sent, at first or at the end of its write. */
  readonly isWrong: boolean
  readonly failure: unknown
}

/** Compares at once, and again when the write has taken its time: nobody may have used the memory meanwhile. */
async function read(blob: OpenBlob, plan: ReaderPlan, sent: Buffer): Promise<Reading> {
  let got = 0
  let isWrong = false
  let round = 0
  const write = async (chunk: Uint8Array) => {
    const at = plan.start + got
    const expected = sent.subarray(at, at + chunk.length)
    isWrong ||= !expected.equals(chunk)
    const turns = plan.turns[round % plan.turns.length] ?? 0
    round += 1
    for (let turn = 0; turn < turns; turn += 1) await nextTurn()
    isWrong ||= !expected.equals(chunk)
    got += chunk.length
    if (got >= plan.leaves) throw new Left()
  }
  let failure: unknown
  try {
    await blob.pump({ start: plan.start, end: plan.end }, write, never)
  } catch (reason) {
    failure = reason
  } finally {
    await blob.close()
  }
  return { plan, got, isWrong, failure }
}

const fraction = fc.double({ min: 0, max: 1, noNaN: true })
const readers = fc.array(
  fc.record({
    joins: fraction,
    start: fc.oneof(fc.constant(0), fraction),
    length: fc.oneof(fc.constant(Infinity), fraction),
    turns: fc.array(fc.constantFrom(0, 0, 1, 3, 40), { minLength: 1, maxLength: 4 }),
    leaves: fc.oneof(
      { weight: 3, arbitrary: fc.constant(Infinity) },
      { weight: 1, arbitrary: fraction },
    ),
  }),
  { maxLength: 6 },
)
const downloads = fc.record({
  size: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: content.length })),
  isSizeKnown: fc.boolean(),
  pieces: fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 }),
  budget: fc.constantFrom(48 * MIB, 2 * MIB, 256 * KIB, 0),
  disk: fc.constantFrom('good', 'slow', 'short', 'refusing'),
  ending: fc.constantFrom('right', 'wrong', 'broken', 'kept'),
  readers,
})
type Download = typeof downloads extends fc.Arbitrary<infer T> ? T : never

/** A disk of that sort, from its third write on if it refuses. */
function diskOf(kind: Download['disk']): Fs {
  const disk = new FailingFs()
  if (kind === 'refusing') {
    disk.fail({ operation: 'file.writev', skip: 2, code: 'ENOSPC', afterBytes: 1000 })
  }
  if (kind !== 'slow' && kind !== 'short') return disk.fs
  return {
    ...disk.fs,
    async open(...args) {
      const file = await disk.fs.open(...args)
      return new Proxy(file, {
        get(inner, key) {
          const value: unknown = Reflect.get(inner, key)
          if (key !== 'writev') return value
          return async (buffers: readonly Uint8Array[], position: number) => {
            if (kind === 'slow') for (let turn = 0; turn < 20; turn += 1) await nextTurn()
            const [first = new Uint8Array()] = buffers
            const some = kind === 'short' ? [first.subarray(0, 77_777)] : buffers
            return inner.writev(some, position)
          }
        },
      })
    },
  }
}

/** Runs it, and returns what its readers saw. */
async function run(download: Download, path: string, blocks: BlockPool) {
  const { isSizeKnown, ending, pieces } = download
  const sent = Buffer.from(content.subarray(0, download.size))
  const digest = ending === 'wrong' ? digestOf(Buffer.from('something else')) : digestOf(sent)
  const size = isSizeKnown ? sent.length : undefined
  const fs = diskOf(download.disk)
  const spool = await openSpool({ path, fs, blocks, digest, size, relief: ringRelief() })
  const waiting = download.readers
    .map((reader) => planOf(reader, sent.length))
    .toSorted((a, b) => a.joins - b.joins)
  const readings: Promise<Reading>[] = []
  const letIn = () => {
    while ((waiting[0]?.joins ?? Infinity) <= spool.length) {
      const plan = waiting.shift()
      const blob = spool.open()
      if (plan !== undefined && blob !== undefined) readings.push(read(blob, plan, sent))
    }
  }
  const last = ending === 'broken' || ending === 'kept' ? sent.length / 2 : sent.length
  let failure: unknown
  try {
    letIn()
    for (let piece = 0; spool.length < last; piece += 1) {
      // A turn of the loop for each: not too many of them.
      const length = Math.max(pieces[piece % pieces.length] ?? 1, Math.ceil(sent.length / 300))
      // Its memory is worth nothing once it was taken.
      const memory = Uint8Array.from(sent.subarray(spool.length, spool.length + length))
      const ready = spool.write(memory)
      memory.fill(0)
      letIn()
      if (ready === undefined) await nextTurn()
      await ready
    }
    if (ending === 'broken' || ending === 'kept') throw new Error('the line is cut')
    await spool.finish()
  } catch (reason) {
    failure = reason
    if (ending === 'kept') await spool.keep(reason)
    else await spool.discard(reason)
  }
  const seen = await Promise.all(readings)
  await spool.discard(new Error('over'))
  return { sent, failure, seen }
}

function planOf(reader: Download['readers'][number], size: number): ReaderPlan {
  const start = Math.floor(reader.start * size)
  const end = start + (reader.length === Infinity ? Infinity : Math.floor(reader.length * size))
  const leaves = reader.leaves === Infinity ? Infinity : Math.ceil(reader.leaves * size)
  return { joins: Math.floor(reader.joins * size), start, end, turns: reader.turns, leaves }
}

function isRight(failure: unknown): boolean {
  return failure === undefined || failure instanceof NotKept
}

/** What is wrong with how the download ended. */
function verdictOf({ ending, disk }: Download, failure: unknown): string | undefined {
  if (ending === 'wrong' && isRight(failure)) return 'took wrong bytes for right ones'
  if (ending === 'right' && disk !== 'refusing' && !isRight(failure))
    return `failed: ${inspect(failure)}`
  return undefined
}

/** What is wrong with what one reader got. */
function faultOf(reading: Reading, sent: Buffer, failure: unknown): string | undefined {
  const { plan, got, isWrong, failure: reason } = reading
  const where = `${got} bytes from ${plan.start} of ${sent.length}`
  if (isWrong) return `wrong bytes: ${where}`
  if (reason instanceof Left) return undefined
  const wanted = Math.max(0, Math.min(plan.end, sent.length) - plan.start)
  if (reason === undefined && got !== wanted) return `too few: ${where}, and no failure`
  if (isRight(failure))
    return reason === undefined ? undefined : `failed: ${where}, ${inspect(reason)}`
  const isWithheld = plan.start + got <= Math.max(plan.start, sent.length - WITHHELD)
  return isWithheld ? undefined : `not withheld: ${where}`
}

describe('those who follow a spool', () => {
  it('get exactly its bytes, at any pace and on any disk, and give all memory back', async () => {
    await using dir = await makeTempDir()
    await fc.assert(
      fc.asyncProperty(downloads, async (download) => {
        const blocks = new BlockPool(download.budget)
        const { sent, failure, seen } = await run(download, join(dir.path, 'spool'), blocks)
        expect(blocks.lent).toBe(0)
        expect(verdictOf(download, failure)).toBeUndefined()
        expect(seen.map((one) => faultOf(one, sent, failure))).toEqual(seen.map(() => undefined))
      }),
      { numRuns: 60 },
    )
  })

  it('read from memory alone while they keep up', async () => {
    await using dir = await makeTempDir()
    const disk = new FailingFs()
    disk.fail({ operation: 'file.read', code: 'EIO' })
    const blocks = new BlockPool()
    const digest = digestOf(content)
    const path = join(dir.path, 'spool')
    const spool = await openSpool({ path, fs: disk.fs, blocks, digest, size: content.length })
    let got = 0
    const plan = { start: 0, end: content.length - WITHHELD }
    const blob = followerOf(spool)
    const reading = blob.pump(plan, async ({ length }) => void (got += length), never)
    for (let at = 0; at < content.length; at += 64 * KIB) {
      await spool.write(content.subarray(at, at + 64 * KIB))
      await expect.poll(() => got, { interval: 1 }).toBe(Math.min(plan.end, spool.length))
    }
    await reading
    await blob.close()
    await spool.finish()
    await spool.discard(new Error('over'))
    expect(blocks.lent).toBe(0)
  })
})

describe('the memory of downloads', () => {
  /** Every write to a file waits. */
  function stuckDisk() {
    const gate = Promise.withResolvers<void>()
    const disk = new FailingFs()
    const fs: Fs = {
      ...disk.fs,
      async open(...args) {
        const file = await disk.fs.open(...args)
        const writev: typeof file.writev = (...request) =>
          gate.promise.then(() => file.writev(...request))
        return new Proxy(file, {
          get: (inner, key) => (key === 'writev' ? writev : (Reflect.get(inner, key) as unknown)),
        })
      },
    }
    return { fs, disk, open: gate.resolve }
  }

  it('stays within its budget, however many there are, on a disk that is stuck', async () => {
    await using dir = await makeTempDir()
    const { fs, open } = stuckDisk()
    const budget = 4 * MIB
    const blocks = new BlockPool(budget)
    const blob = content.subarray(0, 2 * MIB)
    const digest = digestOf(blob)
    const stall = Promise.withResolvers<void>()
    const COUNT = 40
    const PIECE = 64 * KIB
    const one = async (name: number) => {
      const path = join(dir.path, `${name}`)
      const spool = await openSpool({ path, fs, blocks, digest, size: blob.length })
      const followers = [0, MIB].map((start) => {
        const follower = followerOf(spool)
        const sent: Buffer[] = []
        const write = async (chunk: Uint8Array) => {
          await stall.promise
          sent.push(Buffer.from(chunk))
        }
        const reading = follower.pump({ start, end: blob.length }, write, never)
        return reading
          .then(() => follower.close())
          .then(() => Buffer.concat(sent).equals(blob.subarray(start)))
      })
      for (let at = 0; at < blob.length; at += PIECE) {
        await spool.write(blob.subarray(at, at + PIECE))
        await nextTurn()
      }
      await spool.finish()
      const isRight = await Promise.all(followers)
      await spool.discard(new Error('over'))
      return isRight
    }
    const all = Promise.all(Array.from({ length: COUNT }, (_, name) => one(name)))
    await expect.poll(() => blocks.isFull).toBe(true)
    for (let turn = 0; turn < 200; turn += 1) await nextTurn()
    expect(blocks.lent).toBeLessThanOrEqual(budget + COUNT * 2 * PIECE)
    open()
    stall.resolve()
    expect(new Set((await all).flat())).toEqual(new Set([true]))
    expect(blocks.lent).toBe(0)
  })

  it('is not used for anything else while a write or a reader has it, and all free afterwards', async () => {
    await using dir = await makeTempDir()
    const { fs, open } = stuckDisk()
    const blocks = new BlockPool()
    const path = join(dir.path, 'spool')
    const spool = await openSpool({
      path,
      fs,
      blocks,
      digest: digestOf(content),
      size: content.length,
    })
    const stall = Promise.withResolvers<void>()
    const follower = followerOf(spool)
    const reading = follower.pump({ start: 0, end: 100 }, () => stall.promise, never)
    void spool.write(content.subarray(0, MIB))
    await nextTurn()
    const reason = new Error('nobody wants it')
    const discarded = spool.discard(reason)
    await nextTurn()
    expect(blocks.lent).toBe(MIB)
    open()
    await discarded
    expect(blocks.lent).toBe(256 * KIB)
    stall.resolve()
    await reading
    await follower.close()
    expect(blocks.lent).toBe(0)
    await expect(spool.write(content.subarray(0, 1))).rejects.toBe(reason)
    expect(blocks.lent).toBe(0)
  })

  it('is written to no file that has been given up', async () => {
    await using dir = await makeTempDir()
    const { fs, disk, open } = stuckDisk()
    open()
    const unlink = async (path: string) => {
      // Longer than little bytes linger.
      await new Promise((resolve) => setTimeout(resolve, 60))
      await disk.fs.unlink(path)
    }
    const blocks = new BlockPool()
    const path = join(dir.path, 'spool')
    const settings = { path, fs: { ...fs, unlink }, blocks, digest: digestOf(content) }
    const spool = await openSpool(settings)
    void spool.write(content.subarray(0, 1000))
    await spool.discard(new DigestMismatch('wrong'))
    const writes = disk.calls.filter(({ operation }) => operation === 'file.writev')
    expect(writes).toEqual([])
    expect(blocks.lent).toBe(0)
  })
})
