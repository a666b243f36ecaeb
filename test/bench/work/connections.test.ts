import { describe, expect, it } from 'vitest'
import { connections } from '../../../bench/work/connections.ts'
import { createFakePeer, openFakeBench } from '../fake-bench.ts'

describe('the work with connections', () => {
  it('holds so many idle ones, and then downloads by so many clients at once', async () => {
    await using fake = await openFakeBench()
    const { peer, done } = createFakePeer('a')
    const image = await fake.bench.image('connections', [100_000])
    // A layer is a little larger than its content.
    const bytes = image.layers[0]?.size ?? 0
    const work = connections({ idle: 60, active: 8, bytes, deadlineMs: 5_000, settleMs: 10 })
    const bench = { ...fake.bench, image: async () => image }
    const { '8 downloads, MB/s': rate, ...figures } = await work.measure(peer, bench)
    expect(rate).toBeGreaterThan(0)
    expect(figures).toEqual({
      '60 idle, resident MiB': 20,
      '8 downloads, resident MiB': 20,
      '0.01 s later, resident MiB': 20,
      'peak MiB': 30,
    })
    expect(work.rows.map(({ figure }) => figure)).toEqual([
      '60 idle, resident MiB',
      '8 downloads, resident MiB',
      '8 downloads, MB/s',
      '0.01 s later, resident MiB',
      'peak MiB',
    ])
    expect(fake.registry.socketsOpened()).toBeGreaterThan(68)
    expect(done).toEqual(['start', 'stop'])
  })
})
