import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { directPeer } from './peers/direct.ts'
import { LoadWatch } from './support/load-watch.ts'
import type { Measurement } from './support/measurement.ts'
import type { Peer } from './support/peer.ts'
import { BenchUpstream } from './support/upstream.ts'
import type { Work } from './work/work.ts'

interface RunOptions {
  readonly works: readonly Work[]
  readonly peers: readonly Peer[]
  readonly rounds: number
  /** Empty, and large enough for some gibibytes. */
  readonly dir: string
  readonly onMeasured: (measurement: Measurement) => void
}

/** What the works need of the registry that is mirrored. */
type Upstream = Pick<BenchUpstream, 'url' | 'usage' | 'image' | 'sent'>

export interface RunResults {
  readonly measurements: readonly Measurement[]
  /** What others had of all cores while nothing of ours was measured, at most. */
  readonly othersBetween: number
}

/** Nothing of ours runs for so long before each work: whatever runs then is somebody else's. */
const QUIET_MS = 500

/** Every work on every peer, in turn, as many times as there are rounds, with an upstream for all. */
export async function runRounds(options: RunOptions): Promise<RunResults> {
  const upstream = await BenchUpstream.start(join(options.dir, 'upstream'))
  try {
    return await measureRounds(options, upstream)
  } finally {
    await upstream.stop()
  }
}

/** A failure costs one cell: the others go on. */
export async function measureRounds(options: RunOptions, upstream: Upstream): Promise<RunResults> {
  const { works, peers, rounds, dir } = options
  const shared = await mkdtemp(join(dir, 'shared-'))
  const direct = directPeer('the upstream itself', () => upstream.usage())
  const measurements: Measurement[] = []
  const between: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    for (const work of works) {
      between.push(await othersNow())
      const mirrors = peers.filter((peer) => peer.works?.includes(work.name) !== false)
      const candidates = work.direct === true ? [...mirrors, direct] : mirrors
      for (const peer of rotated(candidates, round)) {
        const measurement = await measureOnce({ work, peer, round, dir, shared, upstream })
        options.onMeasured(measurement)
        measurements.push(measurement)
      }
    }
  }
  between.push(await othersNow())
  return { measurements, othersBetween: Math.max(...between) }
}

/** Whoever is measured first finds a cooler processor: everybody is, in turn. */
function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const start = items.length === 0 ? 0 : by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}

async function othersNow(): Promise<number> {
  const watch = new LoadWatch()
  await sleep(QUIET_MS)
  return watch.othersSince()
}

interface Turn {
  readonly work: Work
  readonly peer: Peer
  readonly round: number
  readonly dir: string
  readonly shared: string
  readonly upstream: Upstream
}

async function measureOnce(turn: Turn): Promise<Measurement> {
  const { work, peer, round, shared, upstream } = turn
  const dir = await mkdtemp(join(turn.dir, 'turn-'))
  const bench = {
    dir,
    shared,
    upstream: upstream.url,
    image: (name: string, layers: readonly number[]) => upstream.image(name, layers),
    sent: () => upstream.sent(),
  }
  const watch = new LoadWatch()
  const begun = performance.now()
  const facts = { work: work.name, peer: peer.name, round }
  const passed = () => ({
    others: watch.othersSince(),
    seconds: (performance.now() - begun) / 1000,
  })
  try {
    const figures = await work.measure(peer, bench)
    return { ...facts, figures, ...passed() }
  } catch (error) {
    // Told in the table, in this peer's place: the others go on.
    const failed = error instanceof Error ? error.message : String(error)
    return { ...facts, figures: {}, failed, ...passed() }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
