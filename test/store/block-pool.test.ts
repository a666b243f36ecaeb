import { describe, expect, it } from 'vitest'
import type { Block } from '../../src/store/block-pool.ts'
import { BlockPool } from '../../src/store/block-pool.ts'

const KIB = 1024
const MIB = 1024 * KIB

function takeUntil(pool: BlockPool, lent: number): readonly Block[] {
  const blocks: Block[] = []
  while (pool.lent < lent) blocks.push(pool.take(Infinity))
  return blocks
}

function releaseAll(blocks: readonly Block[]): void {
  for (const block of blocks) block.release()
}

describe('BlockPool', () => {
  it('lends smaller blocks the more are lent, and never refuses', () => {
    const pool = new BlockPool(8 * MIB)
    const blocks = takeUntil(pool, 9 * MIB)
    const sizes = blocks.map(({ bytes }) => bytes.length)
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a))
    expect(new Set(sizes)).toEqual(new Set([256 * KIB, 64 * KIB, 16 * KIB]))
    expect(pool.lent).toBe(9 * MIB)
    releaseAll(blocks)
    expect(pool.lent).toBe(0)
  })

  it('is tight when half is lent, and full when all is', () => {
    const pool = new BlockPool(8 * MIB)
    const half = takeUntil(pool, 4 * MIB)
    expect([pool.isTight, pool.isFull]).toEqual([false, false])
    const more = takeUntil(pool, 5 * MIB)
    expect([pool.isTight, pool.isFull]).toEqual([true, false])
    const all = takeUntil(pool, 8 * MIB)
    expect([pool.isTight, pool.isFull]).toEqual([true, true])
    releaseAll([...half, ...more, ...all])
    expect([pool.isTight, pool.isFull]).toEqual([false, false])
  })

  it.each([
    [1, 16 * KIB],
    [32 * KIB, 16 * KIB],
    [33 * KIB, 64 * KIB],
    [200 * KIB, 256 * KIB],
    [Infinity, 256 * KIB],
  ])('wastes little on %d bytes', (useful, size) => {
    expect(new BlockPool().take(useful).bytes.length).toBe(size)
  })

  it('lends a block again once its last holder has let go, and not before', () => {
    const pool = new BlockPool()
    const block = pool.take(Infinity)
    block.hold()
    block.release()
    expect(pool.take(Infinity)).not.toBe(block)
    block.release()
    expect(pool.take(Infinity)).toBe(block)
  })

  it('goes on reusing large blocks after a rush that left many small ones', () => {
    const pool = new BlockPool(64 * MIB)
    const rush = takeUntil(pool, 80 * MIB)
    releaseAll(rush.toReversed())
    const before = new Set(rush)
    const next = takeUntil(pool, 8 * MIB)
    expect(next.every((block) => before.has(block))).toBe(true)
    releaseAll(next)
  })
})
