import { describe, expect, it } from 'vitest'
import { LoadWatch, othersBetween } from '../../../bench/support/load-watch.ts'

describe('the load of others', () => {
  const before = { machine: { all: 100, programs: 40 }, ours: 10 }

  it('is what programs used, without us', () => {
    const now = { machine: { all: 120, programs: 52 }, ours: 20 }
    expect(othersBetween(before, now)).toBeCloseTo(0.1)
  })

  it('is nothing if the clocks did not tick, or ticked for us first', () => {
    expect(othersBetween(before, before)).toBe(0)
    expect(othersBetween(before, { machine: { all: 101, programs: 40.5 }, ours: 11 })).toBe(0)
  })

  it('is a part of the cores', () => {
    const watch = new LoadWatch()
    for (const _ of [1, 2]) {
      const others = watch.othersSince()
      expect(others).toBeGreaterThanOrEqual(0)
      expect(others).toBeLessThanOrEqual(1)
    }
  })
})
