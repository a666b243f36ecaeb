import { Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { WriteTurns } from '../../src/http/write-turns.ts'

describe('the turns of the loop', () => {
  it('are used as long as there is time in them, and the rest goes on in later ones, in order', async () => {
    let time = 0
    const turns = new WriteTurns(() => time)
    const done: number[] = []
    for (let n = 0; n < 10; n += 1) {
      turns.run(() => {
        // As copying into a socket does.
        time += 2
        done.push(n)
      })
    }
    expect(done).toEqual([0, 1])
    await nextTurn()
    expect(done).toEqual([0, 1, 2, 3])
    await nextTurn()
    expect(done).toEqual([0, 1, 2, 3, 4, 5])
    await expect.poll(() => done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('bring one write each while connections come, and never none', async () => {
    const turns = new WriteTurns()
    let done = 0
    let waiting = 0
    const add = () => {
      waiting += 1
      turns.run(() => {
        done += 1
      })
    }
    for (let turn = 0; turn < 20; turn += 1) {
      turns.hurry()
      for (let n = 0; n < 5; n += 1) add()
      await nextTurn()
      expect(done).toBeGreaterThan(turn / 2)
      expect(done).toBeLessThanOrEqual(2 * (turn + 1))
    }
    await expect.poll(() => done).toBe(waiting)
  })

  it('send small answers together at their end', async () => {
    const turns = new WriteTurns()
    const sent: string[] = []
    const streams = ['a', 'b'].map((name) => {
      const write = (chunk: Buffer, _: unknown, done: () => void) => {
        sent.push(`${name} ${chunk.toString()}`)
        done()
      }
      return new Writable({ write })
    })
    for (const stream of streams) {
      turns.hold(stream)
      stream.write('1')
    }
    expect(sent).toEqual([])
    await nextTurn()
    expect(sent).toEqual(['a 1', 'b 1'])
    streams[0]?.write('2')
    expect(sent).toEqual(['a 1', 'b 1', 'a 2'])
  })

  it('never keep anyone waiting for the first bytes', () => {
    const turns = new WriteTurns()
    turns.hurry()
    let done = 0
    for (let n = 0; n < 100; n += 1) {
      turns.runFirst(() => {
        done += 1
      })
    }
    expect(done).toBe(100)
  })
})
