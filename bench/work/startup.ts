import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../src/oci/digest.ts'
import { fileExists } from '../../test/e2e/support/install-step.ts'
import { knowsStoreOf, makeFullStore } from '../support/full-stores.ts'
import type { Peer, PeerPlace, RunningPeer } from '../support/peer.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'
import type { Bench, Figures, Work } from './work.ts'

const BLOB_BYTES = 100_000
const UNKNOWN = 'not measured: its store is not known'

interface Options {
  readonly blobs: number
  /** Until what was answered is on disk, and what a start does behind the answers is done, or mostly. */
  readonly settleMs: number
}

/** From the start of the program until it has answered a request for a blob from a store of so many. */
export function startup({ blobs, settleMs }: Options): Work {
  const rows = {
    clean: 'after SIGTERM, first answer ms',
    killed: 'after SIGKILL, first answer ms',
    cpu: `first ${settleMs / 1000} s, CPU-s`,
  }
  const figures = [...Object.values(rows), PEAK]

  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    const { repository, layers } = await bench.image('startup', [BLOB_BYTES])
    const digest = layers[0]?.digest ?? ''
    const blob = { path: `/v2/${repository}/blobs/${digest}`, digest }
    const place = { dir: join(bench.shared, `startup-${peer.name}`), upstream: bench.upstream }
    if (!knowsStoreOf(peer.name)) {
      return Object.fromEntries(figures.map((figure) => [figure, UNKNOWN]))
    }
    if (!(await fileExists(place.dir))) await fill(peer, place, blob, bench.shared)
    const clean = await start(peer, place, blob)
    await sleep(settleMs)
    await clean.running.kill()
    const killed = await start(peer, place, blob)
    await sleep(settleMs)
    const { cpuSeconds } = await killed.running.usage()
    const peak = await peakOf(killed.running)
    await killed.running.stop()
    return {
      [rows.clean]: clean.tookMs,
      [rows.killed]: killed.tookMs,
      [rows.cpu]: cpuSeconds,
      [PEAK]: peak,
    }
  }

  /** Once, for all rounds. */
  async function fill(peer: Peer, place: PeerPlace, blob: Blob, shared: string): Promise<void> {
    await mkdir(place.dir)
    try {
      await makeFullStore(peer.name, { ...place, shared, blobs })
      await store(peer, place, blob, settleMs)
    } catch (error) {
      // The next round would take it for full.
      await rm(place.dir, { recursive: true })
      throw error
    }
  }

  return {
    name: 'start-up',
    rows: [...Object.values(rows).map((figure) => ({ figure, better: 'less' as const })), PEAK_ROW],
    targets: [PEAK_TARGET],
    measure,
  }
}

interface Blob {
  readonly path: string
  readonly digest: string
}

/** One that it has pulled itself is in the store too: it is the one that is asked for. */
async function store(peer: Peer, place: PeerPlace, blob: Blob, settleMs: number): Promise<void> {
  const { running } = await start(peer, place, blob)
  await sleep(settleMs)
  await running.stop()
}

async function start(
  peer: Peer,
  place: PeerPlace,
  { path, digest }: Blob,
): Promise<{ readonly running: RunningPeer; readonly tookMs: number }> {
  const begun = performance.now()
  const running = await peer.start(place)
  try {
    const response = await fetch(`${running.url}${path}`)
    const bytes = Buffer.from(await response.arrayBuffer())
    const tookMs = performance.now() - begun
    if (digestOf(bytes) === digest) return { running, tookMs }
    throw new Error(`${peer.name} answered ${response.status} for ${path}, and not with its bytes`)
  } catch (error) {
    await running.stop()
    throw error
  }
}
