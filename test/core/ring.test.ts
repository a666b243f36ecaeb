import { setImmediate as nextTurn } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { NoSpace } from '../../src/core/ports.ts'
import type { Seat } from '../../src/core/ring.ts'
import { newSeat, Ring, RING_BYTES } from '../../src/core/ring.ts'
import { seededBytes } from '../support/bytes.ts'
import { ManualClock } from '../support/clock.ts'

const BLOCK = 64 * 1024
const bytes = seededBytes('ring', RING_BYTES + 4 * BLOCK)

describe('a ring', () => {
  let clock: ManualClock
  let seats: Set<Seat>
  let ring: Ring
  let released: number

  beforeEach(() => {
    clock = new ManualClock()
    seats = new Set()
    released = 0
    ring = new Ring(clock, () => (released += 1))
    ring.begin(0, seats)
  })

  function sit(position = 0): Seat {
    const seat = { ...newSeat(), position }
    seats.add(seat)
    return seat
  }

  function take(seat: Seat, position: number): void {
    seat.position = position
    ring.move()
  }

  /** Adds the bytes, and tells what has become of that. */
  function add(start: number, end: number): { state: 'waiting' | 'added' | 'failed' } {
    const adding = { state: 'waiting' as 'waiting' | 'added' | 'failed' }
    ring.add(bytes.subarray(start, end)).then(
      () => (adding.state = 'added'),
      () => (adding.state = 'failed'),
    )
    return adding
  }

  async function settled(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) await nextTurn()
  }

  it('gives back what it was given, from any position', async () => {
    const seat = sit()
    await ring.add(bytes.subarray(0, 100))
    await ring.add(bytes.subarray(100, 3 * BLOCK + 5))
    for (const position of [0, 99, 100, BLOCK - 1, BLOCK, 3 * BLOCK + 4]) {
      const found = ring.at(position, seat)
      const expected = bytes.subarray(position, position + found.length)
      expect(found.length).toBeGreaterThan(0)
      expect(Buffer.compare(found, expected)).toBe(0)
    }
  })

  it('begins where the file ends', async () => {
    ring.begin(1_000_000, seats)
    const seat = sit(1_000_000)
    await ring.add(bytes.subarray(0, 10))
    expect([...ring.at(1_000_004, seat)]).toEqual([...bytes.subarray(4, 10)])
    expect(() => ring.at(999_999, seat)).toThrow(NoSpace)
  })

  it('keeps all for its first reader, and waits for him', async () => {
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = add(RING_BYTES, RING_BYTES + 1)
    await settled()
    expect(more.state).toBe('waiting')
    const seat = sit()
    ring.move()
    expect(ring.isWhole).toBe(true)
    take(seat, BLOCK)
    await settled()
    expect(more.state).toBe('added')
    expect(ring.isWhole).toBe(false)
  })

  it('waits for its slowest reader', async () => {
    const slow = sit()
    const fast = sit(RING_BYTES)
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = add(RING_BYTES, RING_BYTES + BLOCK)
    await clock.advance(29_000)
    expect(more.state).toBe('waiting')
    take(slow, 2 * BLOCK)
    await settled()
    expect(more.state).toBe('added')
    expect([slow.isCut, fast.isCut]).toEqual([false, false])
  })

  it('leaves behind a reader who takes nothing for half a minute, and goes on for the others', async () => {
    const dead = sit()
    const alive = sit(RING_BYTES)
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = add(RING_BYTES, RING_BYTES + 2 * BLOCK)
    await clock.advance(30_000)
    await settled()
    expect(more.state).toBe('added')
    expect([dead.isCut, alive.isCut]).toEqual([true, false])
    expect(() => ring.at(dead.position, dead)).toThrow(/took nothing for 30 s/)
    expect(ring.at(RING_BYTES, alive).length).toBeGreaterThan(0)
  })

  it('waits long for a slow reader whom nobody else waits for', async () => {
    const slow = sit()
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = add(RING_BYTES, RING_BYTES + 1)
    for (let position = 1000; position <= 5000; position += 1000) {
      await clock.advance(29_000)
      take(slow, position)
    }
    expect([more.state, slow.isCut]).toEqual(['waiting', false])
    await clock.advance(60_000)
    await settled()
    expect([more.state, slow.isCut]).toEqual(['failed', true])
  })

  it('counts what a reader takes from the file before it', async () => {
    ring.begin(100 * BLOCK, seats)
    const behind = sit(0)
    sit(100 * BLOCK + RING_BYTES)
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = add(RING_BYTES, RING_BYTES + 1)
    for (let position = 30 * BLOCK; position <= 90 * BLOCK; position += 30 * BLOCK) {
      await clock.advance(29_000)
      behind.position = position
    }
    expect([more.state, behind.isCut]).toEqual(['waiting', false])
    take(behind, 101 * BLOCK)
    await settled()
    expect(more.state).toBe('added')
  })

  it('ends when all readers have left, or none comes', async () => {
    const only = sit()
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = add(RING_BYTES, RING_BYTES + 1)
    await settled()
    seats.delete(only)
    ring.move()
    await settled()
    expect(more.state).toBe('failed')

    const unread = new Ring(clock, () => {})
    unread.begin(0, new Set())
    await unread.add(bytes.subarray(0, RING_BYTES))
    const adding = unread.add(bytes.subarray(0, 1)).catch((reason: unknown) => reason)
    await clock.advance(30_000)
    expect(await adding).toMatchObject({ name: 'NoSpace', message: /nobody takes/ })
    expect(clock.sleeping()).toBe(0)
  })

  it('stops waiting when it is told to, and gives its memory back once', async () => {
    sit()
    await ring.add(bytes.subarray(0, RING_BYTES))
    const more = ring.add(bytes.subarray(0, 1)).catch((reason: unknown) => reason)
    ring.stop(new Error('the mirror stops'))
    expect(await more).toMatchObject({ message: 'the mirror stops' })
    ring.close()
    expect(released).toBe(1)
    expect(clock.sleeping()).toBe(0)
  })
})
