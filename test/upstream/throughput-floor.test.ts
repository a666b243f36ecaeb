import { describe, expect, it } from 'vitest'
import { ThroughputFloor } from '../../src/upstream/throughput-floor.ts'

const KIB = 1024

function minuteOf(bytesPerSecond: number): boolean {
  const floor = new ThroughputFloor()
  return Array.from({ length: 60 }, () => floor.admit(bytesPerSecond, 1_000)).every(Boolean)
}

describe('ThroughputFloor', () => {
  it('admits 16 KiB/s over a minute, and nothing slower', () => {
    expect(minuteOf(16 * KIB)).toBe(true)
    expect(minuteOf(16 * KIB - 1)).toBe(false)
  })

  it('admits a slow start that makes up for it within the minute', () => {
    const floor = new ThroughputFloor()
    expect(floor.admit(1, 55_000)).toBe(true)
    expect(floor.admit(2_000 * KIB, 5_000)).toBe(true)
  })

  it('judges each minute by itself', () => {
    const floor = new ThroughputFloor()
    expect(floor.admit(100_000 * KIB, 60_000)).toBe(true)
    expect(floor.admit(KIB, 60_000)).toBe(false)
  })

  it('does not count the time that nobody waits for the network', () => {
    const floor = new ThroughputFloor()
    const isAdmitted = Array.from({ length: 10_000 }, () => floor.admit(1, 0)).every(Boolean)
    expect(isAdmitted).toBe(true)
  })
})
