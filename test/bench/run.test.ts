import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { measureRounds } from '../../bench/run.ts'
import type { Measurement } from '../../bench/support/measurement.ts'
import type { Peer } from '../../bench/support/peer.ts'
import type { Bench, Figures, Work } from '../../bench/work/work.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const NO_USAGE = { cpuSeconds: 0, peakBytes: 0, residentBytes: 0 }
const UPSTREAM = {
  url: 'http://127.0.0.1:9',
  usage: async () => NO_USAGE,
  image: () => Promise.reject(new Error('nobody asked for it')),
  sent: () => 7,
}

function peerNamed(name: string): Peer {
  const start = () => Promise.reject(new Error('nobody asked for it'))
  return { name, version: '1', start }
}

interface Settings {
  readonly rounds?: number
  readonly direct?: boolean
}

async function run(
  measure: (peer: Peer, bench: Bench) => Promise<Figures>,
  { rounds = 1, direct = false }: Settings = {},
): Promise<{ readonly measurements: readonly Measurement[]; readonly told: number }> {
  await using dir = await makeTempDir()
  const work: Work = { name: 'work', rows: [{ figure: 'count', better: 'more' }], direct, measure }
  let told = 0
  const peers = ['a', 'b', 'c'].map(peerNamed)
  const options = { works: [work], peers, rounds, dir: dir.path, onMeasured: () => (told += 1) }
  const { measurements } = await measureRounds(options, UPSTREAM)
  expect((await readdir(dir.path)).filter((name) => !name.startsWith('shared-'))).toEqual([])
  return { measurements, told }
}

describe('the rounds', () => {
  it('measure the peers in turn, another one first each time', async () => {
    const order: string[] = []
    const count = async (peer: Peer, bench: Bench) => ({
      count: order.push(peer.name) + bench.sent(),
    })
    const { measurements, told } = await run(count, { rounds: 3 })
    expect(order.join('')).toBe('abcbcacab')
    expect(measurements[3]).toMatchObject({ peer: 'b', round: 1, figures: { count: 11 } })
    expect(told).toBe(9)
  })

  it('go on when one fails, and keep the reason', async () => {
    const { measurements } = await run(async ({ name }) => {
      if (name === 'b') throw new Error('b ended early')
      return { count: 1 }
    })
    expect(measurements.map(({ peer, failed }) => [peer, failed])).toEqual([
      ['a', undefined],
      ['b', 'b ended early'],
      ['c', undefined],
    ])
    expect(measurements[1]?.figures).toEqual({})
  })

  it('measure the upstream itself where that is asked for', async () => {
    const seen: string[] = []
    const note = async (peer: Peer, bench: Bench) => {
      seen.push(peer.name)
      if (peer.name !== 'direct') return {}
      const running = await peer.start({ dir: bench.dir, upstream: 'http://delayed.test' })
      return { isItself: String(running.url === 'http://delayed.test') }
    }
    const { measurements } = await run(note, { direct: true })
    expect(seen).toEqual(['a', 'b', 'c', 'direct'])
    expect(measurements[3]?.figures).toEqual({ isItself: 'true' })
  })

  it('give each measurement an empty directory, and all of them one together', async () => {
    const found: number[] = []
    await run(async (_, bench) => {
      found.push((await readdir(bench.dir)).length)
      await writeFile(join(bench.dir, 'left'), '')
      await writeFile(join(bench.shared, `${found.length}`), '')
      return { count: (await readdir(bench.shared)).length }
    }).then(({ measurements }) =>
      expect(measurements.map(({ figures }) => figures['count'])).toEqual([1, 2, 3]),
    )
    expect(found).toEqual([0, 0, 0])
  })
})
