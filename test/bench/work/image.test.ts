import { describe, expect, it } from 'vitest'
import type { ImageClient } from '../../../bench/support/image-client.ts'
import { image } from '../../../bench/work/image.ts'
import type { BenchImage } from '../../../bench/work/work.ts'
import { createFakePeer, openFakeBench } from '../fake-bench.ts'

const SIZE = { layers: 3, bytes: 1_000 }

describe('the work with images', () => {
  it('pulls cold and then warm, at every distance with a new store and through the proxy', async () => {
    await using fake = await openFakeBench()
    const pulled: string[] = []
    const start = async () => createClient(pulled)
    const pulls = [
      { client: 'one', start, cold: [0, 10], warm: [10] },
      { client: 'two', start, cold: [10], warm: [] },
    ]
    const { peer, places, done } = createFakePeer('a')
    const figures = await image({ ...SIZE, pulls }).measure(peer, fake.bench)
    expect(figures).toEqual({
      'one, 0 ms, cold, s': 1,
      'one, 10 ms, cold, s': 2,
      'one, 10 ms, warm, s': 3,
      'two, 10 ms, cold, s': 4,
      'peak MiB': 30,
    })
    expect(pulled).toEqual(['bench/image-0', 'bench/image-0', 'bench/image-0', 'bench/image-1'])
    expect(done).toEqual(['start', 'stop', 'start', 'stop'])
    expect(new Set([fake.bench.upstream, ...places.map(({ upstream }) => upstream)]).size).toBe(3)
    expect(new Set(places.map(({ dir }) => dir)).size).toBe(2)
  })

  it('ends the peer and the clients when a pull fails', async () => {
    await using fake = await openFakeBench()
    const client = createClient([])
    const late = { ...client, pull: () => Promise.reject(new Error('ended after 60 s')) }
    const pulls = [{ client: 'one', start: async () => late, cold: [0], warm: [] }]
    const { peer, done } = createFakePeer('a')
    const measured = image({ ...SIZE, pulls }).measure(peer, fake.bench)
    await expect(measured).rejects.toThrow('ended after 60 s')
    expect(done).toEqual(['start', 'stop'])
    expect(client.isStopped()).toBe(true)
  })

  it('has a row for every target, and one for every pull, with three clients against direct', () => {
    const { rows, targets = [], direct } = image(SIZE)
    const figures = rows.map(({ figure }) => figure)
    expect(targets.filter(({ figure }) => !figures.includes(figure))).toEqual([])
    expect(targets.filter(({ of }) => of === 'direct')).toHaveLength(3)
    expect(figures).toContain('containerd, 50 ms, cold, s')
    expect(direct).toBe(true)
  })
})

/** Gets everything that a client gets, and claims one second more each time. */
function createClient(pulled: string[]): ImageClient & { isStopped(): boolean } {
  let isStopped = false
  return {
    pull: async (url, { repository, layers, digest }: BenchImage) => {
      const paths = [`manifests/${digest}`, ...layers.map((layer) => `blobs/${layer.digest}`)]
      for (const path of paths) {
        const response = await fetch(`${url}/v2/${repository}/${path}`)
        await response.arrayBuffer()
        expect(response.status).toBe(200)
      }
      return pulled.push(repository)
    },
    stop: async () => void (isStopped = true),
    isStopped: () => isStopped,
  }
}
