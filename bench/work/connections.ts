import { setTimeout as sleep } from 'node:timers/promises'
import { openImage } from '../support/open-image.ts'
import { download } from '../support/download.ts'
import { openIdleConnections } from '../support/idle-connections.ts'
import type { Peer, RunningPeer } from '../support/peer.ts'
import { median } from '../support/statistics.ts'
import { withPeer } from '../support/with-peer.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'
import type { Bench, Figures, Work } from './work.ts'

interface Options {
  /** Connections that wait. */
  readonly idle: number
  /** Clients that download the same blob at the same time, as fast as they can. */
  readonly active: number
  /** Of that blob. */
  readonly bytes: number
  readonly deadlineMs: number
  /** Until what a peer used has been given back, if it ever is. */
  readonly settleMs: number
}

const MIB = 2 ** 20
const MB = 1_000_000
const SAMPLE_MS = 250

/** What connections cost in memory. */
export function connections({ idle, active, bytes, deadlineMs, settleMs }: Options): Work {
  const rows = {
    waiting: `${idle} idle, resident MiB`,
    active: `${active} downloads, resident MiB`,
    rate: `${active} downloads, MB/s`,
    after: `${settleMs / 1000} s later, resident MiB`,
  }

  async function wait(running: RunningPeer): Promise<Figures> {
    const held = await openIdleConnections(`${running.url}/v2/`, idle)
    try {
      await sleep(settleMs)
      const closed = idle - held.open()
      return { [rows.waiting]: closed > 0 ? `it closed ${closed}` : await residentOf(running) }
    } finally {
      held.close()
    }
  }

  async function serve(running: RunningPeer, url: string): Promise<Figures> {
    const sampling = new AbortController()
    const sampled = sampleResident(running, sampling.signal)
    const downloaded = download(url, bytes, { clients: active, deadlineMs })
    // Also when it fails: else nobody would end the sampling.
    const { totalMs, receivedBytes, unfinished } = await downloaded.finally(() => sampling.abort())
    const late = `${unfinished} not after ${deadlineMs / 1000} s`
    return {
      [rows.active]: median(await sampled),
      [rows.rate]: unfinished > 0 ? late : receivedBytes / MB / (totalMs / 1000),
    }
  }

  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    const image = await bench.image('connections', [bytes])
    return withPeer(peer, bench, async (running) => {
      const waiting = await wait(running)
      const url = await openImage(running.url, image)
      // It is stored when the first client has it, or shortly after.
      await download(url, bytes)
      await sleep(settleMs)
      const serving = await serve(running, url)
      await sleep(settleMs)
      const after = { [rows.after]: await residentOf(running) }
      return { ...waiting, ...serving, ...after, [PEAK]: await peakOf(running) }
    })
  }

  return {
    name: 'connections',
    rows: [
      { figure: rows.waiting, better: 'less' },
      { figure: rows.active, better: 'less' },
      { figure: rows.rate, better: 'more' },
      { figure: rows.after, better: 'less' },
      PEAK_ROW,
    ],
    targets: [PEAK_TARGET],
    measure,
  }
}

async function residentOf(running: RunningPeer): Promise<number> {
  return (await running.usage()).residentBytes / MIB
}

/** Every now and then until the signal says that it is enough. */
async function sampleResident(running: RunningPeer, signal: AbortSignal): Promise<number[]> {
  const samples: number[] = []
  while (!signal.aborted) {
    samples.push(await residentOf(running))
    await sleep(SAMPLE_MS, undefined, { signal }).catch(() => {
      // Aborted: the loop sees it.
    })
  }
  return samples
}
