import { describe, expect, it } from 'vitest'
import { BlockPool } from '../../src/store/block-pool.ts'
import { SpoolTail } from '../../src/store/spool-tail.ts'
import { seededBytes } from '../support/bytes.ts'

const KIB = 1024
const MIB = 1024 * KIB
const bytes = Buffer.from(seededBytes('tail', 8 * MIB))

/** Bytes of the blob from `start` on, in pieces as they come from a socket. */
function feed(tail: SpoolTail, end: number): void {
  while (tail.end < end) tail.append(bytes.subarray(tail.end, Math.min(end, tail.end + 50_000)))
}

function heldAt(tail: SpoolTail, position: number) {
  const held = tail.hold(position)
  if (held === undefined) throw new Error(`byte ${position} is not in memory`)
  return held
}

describe('SpoolTail', () => {
  it('gives what is to be written, in order, until it is written', () => {
    const tail = new SpoolTail(new BlockPool(), 0)
    feed(tail, 700_000)
    const first = Buffer.concat(tail.next(300_000))
    expect(first.equals(bytes.subarray(0, 300_000))).toBe(true)
    expect(Buffer.concat(tail.next(300_000)).equals(first)).toBe(true)
    tail.wrote(300_000)
    expect(tail.unwritten).toBe(400_000)
    expect(Buffer.concat(tail.next(MIB)).equals(bytes.subarray(300_000, 700_000))).toBe(true)
    tail.wrote(700_000)
    expect(tail.next(MIB)).toEqual([])
  })

  it('begins where an earlier download stopped', () => {
    const tail = new SpoolTail(new BlockPool(), 1_234_567)
    feed(tail, 1_300_000)
    expect(tail.hold(1_234_566)).toBeUndefined()
    const held = heldAt(tail, 1_234_567)
    expect(Buffer.from(held.bytes).equals(bytes.subarray(1_234_567, 1_300_000))).toBe(true)
    held.release()
    expect(Buffer.concat(tail.next(MIB)).equals(bytes.subarray(1_234_567, 1_300_000))).toBe(true)
  })

  it('takes no larger block than the rest of the blob needs', () => {
    const pool = new BlockPool()
    const tail = new SpoolTail(pool, 0, 256 * KIB + 100)
    feed(tail, 256 * KIB + 100)
    expect(pool.lent).toBe(256 * KIB + 16 * KIB)
    tail.close()
    expect(pool.lent).toBe(0)
  })

  it('gives a reader nothing that is not there, and never more than one block', () => {
    const tail = new SpoolTail(new BlockPool(), 0)
    expect(tail.hold(0)).toBeUndefined()
    feed(tail, 300_000)
    expect(tail.hold(300_000)).toBeUndefined()
    const held = heldAt(tail, 100)
    expect(Buffer.from(held.bytes).equals(bytes.subarray(100, 256 * KIB))).toBe(true)
    held.release()
  })

  it('keeps what is not written, and two mebibytes of what is', () => {
    const pool = new BlockPool()
    const tail = new SpoolTail(pool, 0)
    feed(tail, 6 * MIB)
    expect(pool.lent).toBe(6 * MIB)
    tail.wrote(6 * MIB)
    expect(pool.lent).toBe(2 * MIB)
    expect(tail.hold(4 * MIB - 1)).toBeUndefined()
    heldAt(tail, 4 * MIB).release()
    tail.close()
    expect(pool.lent).toBe(0)
  })

  it('leaves what a reader is sending as it is, whatever becomes of the download', () => {
    const pool = new BlockPool()
    const tail = new SpoolTail(pool, 0)
    feed(tail, MIB)
    const held = heldAt(tail, 0)
    tail.wrote(MIB)
    tail.close()
    expect(pool.lent).toBe(256 * KIB)
    const other = new SpoolTail(pool, 0)
    other.append(new Uint8Array(4 * MIB))
    expect(Buffer.from(held.bytes).equals(bytes.subarray(0, 256 * KIB))).toBe(true)
    held.release()
    other.close()
    expect(pool.lent).toBe(0)
  })

  it('lends no more to those who are slow than two mebibytes that it would not have kept', () => {
    const pool = new BlockPool()
    const tail = new SpoolTail(pool, 0)
    const slow = []
    for (let position = 0; position + 256 * KIB <= 8 * MIB; position += 256 * KIB) {
      feed(tail, position + 256 * KIB)
      const held = tail.hold(position)
      if (held !== undefined) slow.push(held)
      tail.wrote(tail.end)
    }
    expect(pool.lent).toBeLessThanOrEqual(2 * MIB + 4 * MIB)
    expect(tail.hold(8 * MIB - 1)).toBeUndefined()
    for (const held of slow) held.release()
    expect(pool.lent).toBe(2 * MIB)
    heldAt(tail, 8 * MIB - 1).release()
    tail.close()
    expect(pool.lent).toBe(0)
  })

  it('shares a block that somebody is sending even where memory is tight, and no other', () => {
    const pool = new BlockPool(4 * MIB)
    const tail = new SpoolTail(pool, 0)
    feed(tail, 512 * KIB)
    const held = heldAt(tail, 0)
    const others = new SpoolTail(pool, 0)
    others.append(new Uint8Array(3 * MIB))
    expect(pool.isTight).toBe(true)
    heldAt(tail, 1000).release()
    expect(tail.hold(256 * KIB)).toBeUndefined()
    held.release()
    expect(tail.hold(0)).toBeUndefined()
    tail.wrote(512 * KIB)
    others.close()
    tail.close()
    expect(pool.lent).toBe(0)
  })
})
