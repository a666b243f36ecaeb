import { describe, expect, it } from 'vitest'
import { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import { Slots } from '../../src/upstream/slots.ts'

const { signal } = new AbortController()
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

describe('Slots', () => {
  it('serves those who wait in the order of asking', async () => {
    const slots = new Slots(1, 'docker.io')
    const release = await slots.acquire(signal)
    const order: number[] = []
    const waiting = [1, 2, 3].map(async (n) => {
      const free = await slots.acquire(signal)
      order.push(n)
      free()
    })
    release()
    await Promise.all(waiting)
    expect(order).toEqual([1, 2, 3])
  })

  it('counts a slot that is given back twice once', async () => {
    const slots = new Slots(1, 'docker.io')
    const release = await slots.acquire(signal)
    release()
    release()
    await slots.acquire(signal)
    let isThird = false
    void slots.acquire(signal).then(() => (isThird = true))
    await nextTurn()
    expect(isThird).toBe(false)
  })

  it('lets whoever aborts leave the queue, with the reason', async () => {
    const slots = new Slots(1, 'docker.io')
    const release = await slots.acquire(signal)
    const leaver = new AbortController()
    const left = slots.acquire(leaver.signal)
    const stays = slots.acquire(signal)
    leaver.abort(new Error('gone home'))
    await expect(left).rejects.toThrow('gone home')
    release()
    await expect(stays).resolves.toBeTypeOf('function')
    await expect(slots.acquire(leaver.signal)).rejects.toThrow('gone home')
  })

  it('is busy at once for whoever would rather not wait', async () => {
    const slots = new Slots(1, 'docker.io')
    const release = await slots.acquireFree(signal)
    await expect(slots.acquireFree(signal)).rejects.toMatchObject({ kind: 'busy' })
    const waiting = slots.acquire(signal)
    release()
    await expect(slots.acquireFree(signal)).rejects.toMatchObject({ kind: 'busy' })
    const next = await waiting
    next()
    await expect(slots.acquireFree(signal)).resolves.toBeTypeOf('function')
  })

  it('is busy when 256 wait', async () => {
    const slots = new Slots(1, 'docker.io')
    const release = await slots.acquire(signal)
    const waiting = Array.from({ length: 256 }, () => slots.acquire(signal))
    const refused = await slots.acquire(signal).catch((failure: unknown) => failure)
    expect(refused).toBeInstanceOf(UpstreamFailure)
    expect(refused).toMatchObject({ kind: 'busy' })
    release()
    const [first] = await Promise.all(waiting.slice(0, 1))
    first?.()
    await expect(waiting[1]).resolves.toBeTypeOf('function')
  })

  describe('in the background', () => {
    it('come after all clients, whoever asked first', async () => {
      const slots = new Slots(2, 'docker.io')
      const held = await Promise.all([slots.acquire(signal), slots.acquire(signal)])
      const order: string[] = []
      const waiting = (['background', 'client', 'background', 'client'] as const).map(
        async (lane) => {
          const free = await slots.acquire(signal, lane)
          order.push(lane)
          free()
        },
      )
      held[0]()
      await Promise.all(waiting)
      expect(order).toEqual(['client', 'client', 'background', 'background'])
      held[1]()
      expect(slots.load()).toEqual({ taken: 0, waiting: 0, behind: 0 })
    })

    it.each([
      [6, 3],
      [5, 2],
      [1, 1],
    ])('of %i slots hold %i, though the others are free', async (capacity, most) => {
      const slots = new Slots(capacity, 'docker.io')
      const releases: (() => void)[] = []
      for (let n = 0; n < capacity + 1; n += 1) {
        void slots.acquire(signal, 'background').then((release) => releases.push(release))
      }
      await nextTurn()
      expect(slots.load()).toEqual({ taken: most, waiting: 0, behind: capacity + 1 - most })
      expect(releases).toHaveLength(most)
      await expect(slots.acquireFree(signal, 'background')).rejects.toMatchObject({ kind: 'busy' })
      for (let n = 0; n < capacity - most; n += 1) await slots.acquireFree(signal)
      releases[0]?.()
      await nextTurn()
      expect(releases).toHaveLength(most + 1)
      expect(slots.load().taken).toBe(capacity)
    })

    it('give their slot to a client who waits, and leave the queue when they abort', async () => {
      const slots = new Slots(1, 'docker.io')
      const release = await slots.acquire(signal, 'background')
      const leaver = new AbortController()
      const left = slots.acquire(leaver.signal, 'background')
      const client = slots.acquire(signal)
      leaver.abort(new Error('gone home'))
      await expect(left).rejects.toThrow('gone home')
      release()
      await expect(client).resolves.toBeTypeOf('function')
      expect(slots.load()).toEqual({ taken: 1, waiting: 0, behind: 0 })
    })

    it('wait with the clients from when there is a hurry, and behind those that wait already', async () => {
      const slots = new Slots(2, 'docker.io')
      const held = await Promise.all([slots.acquire(signal), slots.acquire(signal, 'background')])
      const hurry = new AbortController()
      const order: string[] = []
      const wait = async (who: string, lane: 'client' | 'background', hurried?: AbortSignal) => {
        const free = await slots.acquire(signal, lane, hurried)
        order.push(who)
        free()
      }
      const waiting = [
        wait('patient', 'background'),
        wait('hurried', 'background', hurry.signal),
        wait('client', 'client'),
      ]
      await nextTurn()
      hurry.abort()
      const late = wait('late', 'client')
      await nextTurn()
      expect(slots.load()).toEqual({ taken: 2, waiting: 3, behind: 1 })
      held[0]()
      await Promise.all([...waiting.slice(1), late])
      expect(order.slice(0, 3)).toEqual(['client', 'hurried', 'late'])
      held[1]()
      await waiting[0]
      expect(slots.load()).toEqual({ taken: 0, waiting: 0, behind: 0 })
    })

    it('take a slot at once in a hurry, if only the background has none left', async () => {
      const slots = new Slots(2, 'docker.io')
      await slots.acquire(signal, 'background')
      const hurry = new AbortController()
      const waiting = slots.acquire(signal, 'background', hurry.signal)
      await nextTurn()
      expect(slots.load()).toEqual({ taken: 1, waiting: 0, behind: 1 })
      hurry.abort()
      const release = await waiting
      expect(slots.load()).toEqual({ taken: 2, waiting: 0, behind: 0 })
      release()
      // It was held as a client's: the background's own is still taken.
      await expect(slots.acquireFree(signal, 'background')).rejects.toMatchObject({ kind: 'busy' })
      await expect(slots.acquireFree(signal)).resolves.toBeTypeOf('function')
    })

    it('leave the queue of the clients too when they abort', async () => {
      const slots = new Slots(1, 'docker.io')
      const release = await slots.acquire(signal)
      const [hurry, leaver] = [new AbortController(), new AbortController()]
      const left = slots.acquire(leaver.signal, 'background', hurry.signal)
      await nextTurn()
      hurry.abort()
      expect(slots.load()).toEqual({ taken: 1, waiting: 1, behind: 0 })
      leaver.abort(new Error('gone home'))
      await expect(left).rejects.toThrow('gone home')
      release()
      expect(slots.load()).toEqual({ taken: 0, waiting: 0, behind: 0 })
    })

    it('have a queue of their own, whose end keeps no client out', async () => {
      const slots = new Slots(1, 'docker.io')
      const release = await slots.acquire(signal)
      for (let n = 0; n < 256; n += 1) void slots.acquire(signal, 'background')
      const refused = slots.acquire(signal, 'background')
      await expect(refused).rejects.toMatchObject({
        kind: 'busy',
        message: expect.stringContaining('1 of at most 1 requests are under way and 256 wait'),
      })
      const client = slots.acquire(signal)
      release()
      await expect(client).resolves.toBeTypeOf('function')
    })
  })
})
