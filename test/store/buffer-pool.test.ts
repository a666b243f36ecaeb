import { describe, expect, it } from 'vitest'
import { BufferPool } from '../../src/store/buffer-pool.ts'

const KIB = 1024

describe('BufferPool', () => {
  it('lends the same buffers again', () => {
    const pool = new BufferPool()
    const first = pool.take(Infinity)
    pool.give(first)
    expect(pool.take(Infinity)).toBe(first)
    expect(pool.take(Infinity)).not.toBe(first)
  })

  it('gives large buffers to few, and smaller ones to many, within its budget', () => {
    const budget = 64 * 1024 * KIB
    const pool = new BufferPool(budget)
    const sizes = Array.from({ length: 1000 }, () => pool.take(Infinity).first.length)
    expect(sizes[0]).toBe(2048 * KIB)
    expect(sizes[1]).toBe(256 * KIB)
    expect(sizes.at(-1)).toBe(16 * KIB)
    expect(sizes.toSorted((a, b) => b - a)).toEqual(sizes)
    const lent = sizes.reduce((sum, size) => sum + 2 * size, 0)
    expect(lent).toBeLessThan(budget + 1000 * 32 * KIB)
  })

  it('has who was alone use less of his when others come, and all of it again when they have gone', () => {
    const pool = new BufferPool()
    const alone = pool.take(Infinity)
    expect(pool.share(alone)).toBe(2048 * KIB)
    const other = pool.take(Infinity)
    expect(pool.share(alone)).toBe(256 * KIB)
    expect(pool.share(other)).toBe(256 * KIB)
    pool.give(other)
    expect(pool.share(alone)).toBe(2048 * KIB)
  })

  it('lends no more than is useful', () => {
    expect(new BufferPool().take(1000).first.length).toBe(16 * KIB)
    expect(new BufferPool().take(40 * KIB).first.length).toBe(64 * KIB)
  })

  it('keeps nothing beyond its budget', () => {
    const pool = new BufferPool(64 * KIB)
    const pairs = Array.from({ length: 10 }, () => pool.take(Infinity))
    for (const pair of pairs) pool.give(pair)
    const again = new Set(Array.from({ length: 10 }, () => pool.take(Infinity)))
    expect(pairs.filter((pair) => again.has(pair)).length).toBeLessThanOrEqual(2)
  })
})
