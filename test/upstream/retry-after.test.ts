import { describe, expect, it } from 'vitest'
import { parseRetryAfter } from '../../src/upstream/retry-after.ts'

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0)

describe('parseRetryAfter', () => {
  it.each([
    ['120', 120],
    [' 7 ', 7],
    ['0', 1],
    ['3601', 3600],
    ['99999999999999999999', 3600],
    ['Thu, 01 Jan 2026 12:00:30 GMT', 30],
    ['Fri, 02 Jan 2026 12:00:00 GMT', 3600],
    ['Thu, 01 Jan 2026 11:00:00 GMT', 1],
    ['Thu, 99 Zzz 2026 11:00:00 GMT', undefined],
    ['tomorrow', undefined],
    ['1e9', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['', undefined],
    ['9'.repeat(10_000), undefined],
    [undefined, undefined],
  ])('reads %j as %s seconds', (value, seconds) => {
    expect(parseRetryAfter(value, NOW)).toBe(seconds)
  })
})
