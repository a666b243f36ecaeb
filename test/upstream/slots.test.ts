import { describe, expect, it } from 'vitest'
import { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import { Slots } from '../../src/upstream/slots.ts'

const { signal } = new AbortController()

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
    await new Promise((resolve) => setImmediate(resolve))
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
})
