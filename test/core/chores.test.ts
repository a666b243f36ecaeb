import { describe, expect, it } from 'vitest'
import { Chores } from '../../src/core/chores.ts'
import type { Log } from '../../src/core/log.ts'
import { ManualClock } from '../support/clock.ts'

const quiet = () => {}

describe('Chores', () => {
  it('are done at their own pace, whatever becomes of the one before', async () => {
    const clock = new ManualClock()
    const errors: object[] = []
    const log: Log = { debug: quiet, info: quiet, warn: quiet, error: (it) => errors.push(it) }
    const done: string[] = []
    const again = async () => {
      done.push('again')
      if (done.length === 1) throw new Error('the disk is away')
    }
    const once = async () => {
      done.push('once')
    }
    const chores = new Chores(
      [
        { name: 'again', every: 1_000, run: again },
        { name: 'once', after: 2_500, retry: 1_000, run: once },
      ],
      clock,
      log,
    )
    expect(done).toEqual([])
    await clock.advance(1_000)
    expect(done).toEqual(['again'])
    await clock.advance(1_000)
    expect(done).toEqual(['again', 'again'])
    await clock.advance(1_000)
    expect(done).toEqual(['again', 'again', 'once', 'again'])
    expect(errors).toMatchObject([{ chore: 'again' }])
    await chores.stop()
    await clock.advance(10_000)
    expect(done).toHaveLength(4)
  })

  it('are tried again until they are done, if they are to be done once', async () => {
    const clock = new ManualClock()
    const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
    const tries: number[] = []
    const begin = clock.now()
    const run = async () => {
      tries.push(clock.now() - begin)
      if (tries.length < 3) throw new Error('the disk is away')
    }
    const chores = new Chores([{ name: 'once', after: 1_000, retry: 5_000, run }], clock, log)
    await clock.advance(60_000)
    expect(tries).toEqual([1_000, 6_000, 11_000])
    await chores.stop()
  })

  it('are told to stop, and waited for', async () => {
    const clock = new ManualClock()
    const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
    let isOver = false
    const run = async (signal: AbortSignal) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      isOver = true
    }
    const chores = new Chores([{ name: 'long', after: 0, retry: 0, run }], clock, log)
    await clock.advance(1)
    await chores.stop()
    expect(isOver).toBe(true)
  })
})
