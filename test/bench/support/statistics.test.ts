import { describe, expect, it } from 'vitest'
import { median, percentile } from '../../../bench/support/statistics.ts'

describe('median', () => {
  it('is the value in the middle, whatever the order', () => {
    expect(median([10, 2, 1000])).toBe(10)
    expect(median([7])).toBe(7)
  })

  it('is the mean of the two in the middle', () => {
    expect(median([4, 1, 100, 2])).toBe(3)
  })

  it('of nothing is an error, not a zero', () => {
    expect(() => median([])).toThrow('nothing to count')
  })
})

describe('percentile', () => {
  it('is what so many do not exceed', () => {
    const values = Array.from({ length: 200 }, (_, n) => 200 - n)
    expect(percentile(values, 0.99)).toBe(198)
    expect(percentile([3, 1], 0.99)).toBe(3)
    expect(percentile([3, 1], 0)).toBe(1)
  })

  it('is never reached when one of a hundred never came', () => {
    expect(percentile([1, 2, Infinity], 0.99)).toBe(Infinity)
  })
})
