import { beforeEach, describe, expect, it } from 'vitest'
import { Pace } from '../../src/core/pace.ts'
import { ManualClock } from '../support/clock.ts'

const MIB = 1024 * 1024

describe('the pace of a download', () => {
  let clock: ManualClock
  let pace: Pace

  beforeEach(() => {
    clock = new ManualClock()
    pace = new Pace(clock)
  })

  /** A mebibyte at a time, so many milliseconds apart. */
  async function receive(mebibytes: number, everyMs: number): Promise<void> {
    for (let n = 0; n < mebibytes; n += 1) {
      await clock.advance(everyMs)
      pace.add(MIB)
    }
  }

  it('is taken for 8 MiB/s before anything has come', () => {
    expect(pace.msUntil(8 * MIB)).toBe(1000)
  })

  it('is that of the last seconds, whatever came before', async () => {
    await receive(500, 10)
    await receive(6, 1000)
    expect(pace.msUntil(508 * MIB)).toBe(2000)
    await receive(500, 10)
    expect(pace.msUntil(1106 * MIB)).toBeCloseTo(1000)
  })

  it('falls while nothing comes', async () => {
    await receive(500, 10)
    expect(pace.msUntil(600 * MIB)).toBeCloseTo(1000)
    await clock.advance(60_000)
    expect(pace.msUntil(600 * MIB)).toBeGreaterThan(10_000)
  })

  it('brings at once what is here already', async () => {
    await receive(5, 1000)
    expect(pace.msUntil(0)).toBe(0)
    expect(pace.msUntil(5 * MIB - 1)).toBe(0)
  })
})
