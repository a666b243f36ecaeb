import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startup } from '../../../bench/work/startup.ts'
import { createFakePeer, openFakeBench } from '../fake-bench.ts'

const FEW = { blobs: 20, settleMs: 10 }

describe('the work with starts', () => {
  it('fills a store once, and starts it after each way of ending', async () => {
    await using fake = await openFakeBench()
    const { peer, places, done } = createFakePeer('nginx')
    const work = startup(FEW)
    for (const _ of [1, 2]) {
      const figures = await work.measure(peer, fake.bench)
      expect(Object.keys(figures)).toEqual(work.rows.map(({ figure }) => figure))
      for (const value of Object.values(figures)) expect(value).toBeGreaterThan(0)
    }
    const once = ['start', 'stop']
    const round = ['start', 'kill', 'start', 'stop']
    expect(done).toEqual([...once, ...round, ...round])
    expect(new Set(places.map(({ dir }) => dir)).size).toBe(1)
    const files = await readdir(join(fake.bench.shared, 'startup-nginx/cache'), { recursive: true })
    expect(files.filter((name) => /[0-9a-f]{32}$/.test(name))).toHaveLength(20)
  })

  it('says so of a peer whose store it cannot fill', async () => {
    await using fake = await openFakeBench()
    const { peer, done } = createFakePeer('zot')
    const figures = await startup(FEW).measure(peer, fake.bench)
    expect(new Set(Object.values(figures))).toEqual(
      new Set(['not measured: its store is not known']),
    )
    expect(done).toEqual([])
  })

  it('leaves no half-filled store for the next round', async () => {
    await using fake = await openFakeBench()
    const { peer } = createFakePeer('nginx')
    const failing = { ...peer, start: () => Promise.reject(new Error('no port')) }
    const work = startup(FEW)
    await expect(work.measure(failing, fake.bench)).rejects.toThrow('no port')
    expect(await readdir(fake.bench.shared)).toEqual([])
  })
})
