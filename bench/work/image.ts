import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DIRECT } from '../peers/direct.ts'
import { startContainerdClient } from '../support/containerd.ts'
import { createCrane } from '../support/crane.ts'
import { startDelayProxy } from '../support/delay-proxy.ts'
import type { ImageClient } from '../support/image-client.ts'
import type { Peer, RunningPeer } from '../support/peer.ts'
import { withPeer } from '../support/with-peer.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'
import type { Bench, BenchImage, Figures, Row, Target, Work } from './work.ts'

interface Options {
  /** Of the image. */
  readonly layers: number
  /** Of each layer. */
  readonly bytes: number
  readonly pulls?: readonly Pulls[]
}

/** One client's pulls, and how far away upstream is for them: round trips in milliseconds. */
interface Pulls {
  readonly client: string
  readonly start: (dir: string) => Promise<ImageClient>
  readonly cold: readonly number[]
  /** Once more, from what the cold pull left in the mirror. */
  readonly warm: readonly number[]
}

/**
 * What is left out would tell nothing new, and take minutes: warm pulls at distances between none and the
 * largest; crane, which asks for fewer layers at a time than containerd, and for more, at other distances
 * than the targets'.
 */
const PULLS: readonly Pulls[] = [
  {
    client: 'containerd',
    start: startContainerdClient,
    cold: [0, 20, 50, 100],
    warm: [0, 100],
  },
  {
    client: 'crane, one by one',
    start: (dir) => createCrane(dir, 'tarball'),
    cold: [0, 50],
    warm: [0],
  },
  {
    client: 'crane, all at once',
    start: (dir) => createCrane(dir, 'oci'),
    cold: [50],
    warm: [],
  },
]

/** The distance of the targets, in milliseconds. */
const TARGET_MS = 50

/** An image of many layers, pulled by real clients while upstream is at some distance. */
export function image({ layers, bytes, pulls = PULLS }: Options): Work {
  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    await using stack = new AsyncDisposableStack()
    const pullers: Puller[] = []
    for (const [n, plan] of pulls.entries()) {
      const dir = join(bench.dir, `client-${n}`)
      await mkdir(dir)
      const client = stack.adopt(await plan.start(dir), (started) => started.stop())
      // Of its own: what one client has pulled is not cold for the next one.
      const sizes = Array.from({ length: layers }, () => bytes)
      pullers.push({ plan, client, image: await bench.image(`image-${n}`, sizes) })
    }
    const figures: Record<string, number> = {}
    const peaks: number[] = []
    for (const roundTripMs of new Set(pulls.flatMap(({ cold }) => cold))) {
      const pulled = await pullFrom(roundTripMs, pullers, peer, bench)
      Object.assign(figures, pulled.figures)
      peaks.push(pulled.peak)
    }
    return { ...figures, [PEAK]: Math.max(...peaks) }
  }

  return {
    name: 'image',
    rows: [...pulls.flatMap(rowsOf), PEAK_ROW],
    targets: [...pulls.filter(({ cold }) => cold.includes(TARGET_MS)).map(targetOf), PEAK_TARGET],
    direct: true,
    measure,
  }
}

function rowsOf({ client, cold, warm }: Pulls): readonly Row[] {
  return cold.flatMap((roundTripMs) => {
    const kinds = warm.includes(roundTripMs) ? (['cold', 'warm'] as const) : (['cold'] as const)
    return kinds.map((kind): Row => ({
      figure: figureOf(client, roundTripMs, kind),
      better: 'less',
    }))
  })
}

function figureOf(client: string, roundTripMs: number, kind: 'cold' | 'warm'): string {
  return `${client}, ${roundTripMs} ms, ${kind}, s`
}

function targetOf({ client }: Pulls): Target {
  const figure = figureOf(client, TARGET_MS, 'cold')
  return { figure, of: DIRECT, least: { times: 1 }, aim: { times: 0.7 } }
}

interface Puller {
  readonly plan: Pulls
  readonly client: ImageClient
  readonly image: BenchImage
}

interface Pulled {
  readonly figures: Figures
  readonly peak: number
}

/** Also at no distance the bytes go through the proxy: what it costs is in all figures alike. */
async function pullFrom(
  roundTripMs: number,
  pullers: readonly Puller[],
  peer: Peer,
  bench: Bench,
): Promise<Pulled> {
  const proxy = await startDelayProxy(bench.upstream, roundTripMs)
  const use = async (running: RunningPeer): Promise<Pulled> => ({
    figures: await pullAll(roundTripMs, pullers, running),
    peak: await peakOf(running),
  })
  try {
    return await withPeer(peer, bench, use, proxy.url)
  } finally {
    await proxy.stop()
  }
}

async function pullAll(
  roundTripMs: number,
  pullers: readonly Puller[],
  { url }: RunningPeer,
): Promise<Figures> {
  const figures: Record<string, number> = {}
  for (const { plan, client, image: pulled } of pullers) {
    if (!plan.cold.includes(roundTripMs)) continue
    figures[figureOf(plan.client, roundTripMs, 'cold')] = await client.pull(url, pulled)
    if (!plan.warm.includes(roundTripMs)) continue
    figures[figureOf(plan.client, roundTripMs, 'warm')] = await client.pull(url, pulled)
  }
  return figures
}
