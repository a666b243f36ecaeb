import { NGINX } from '../peers/nginx.ts'
import { openImage } from '../support/open-image.ts'
import { download, verify } from '../support/download.ts'
import type { Peer, RunningPeer } from '../support/peer.ts'
import { withPeer } from '../support/with-peer.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'
import type { Bench, Figures, Work } from './work.ts'
import { BEST_PEER, cpuBetween } from './work.ts'

interface Options {
  /** Of the blob. */
  readonly bytes: number
  /** How often one client downloads it, so that ticks of the clock do not count. */
  readonly times: number
}

const MB = 1e6
const GIB = 2 ** 30
const EIGHT = 8

/** A blob that is there, whole: what it costs to send bytes. */
export function warmBlob({ bytes, times }: Options): Work {
  async function send(
    running: RunningPeer,
    url: string,
    load: { readonly who: string; readonly clients: number; readonly times: number },
  ): Promise<Figures> {
    const before = await running.usage()
    const { totalMs, receivedBytes } = await download(url, bytes, load)
    const cpu = cpuBetween(before, await running.usage())
    return {
      [`${load.who}, MB/s`]: receivedBytes / MB / (totalMs / 1000),
      [`${load.who}, CPU-s/GiB`]: (cpu / receivedBytes) * GIB,
    }
  }

  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    const image = await bench.image('blob', [bytes])
    return withPeer(peer, bench, async (running) => {
      const url = await openImage(running.url, image)
      // Fills the store, and then the memory of the operating system.
      await download(url, bytes)
      await verify(url, bytes)
      return {
        ...(await send(running, url, { who: 'one client', clients: 1, times })),
        ...(await send(running, url, { who: 'eight clients', clients: EIGHT, times: 1 })),
        [PEAK]: await peakOf(running),
      }
    })
  }

  return {
    name: 'warm-blob',
    rows: [
      ...['one client', 'eight clients'].flatMap((who) => [
        { figure: `${who}, MB/s`, better: 'more' as const },
        { figure: `${who}, CPU-s/GiB`, better: 'less' as const },
      ]),
      PEAK_ROW,
    ],
    targets: [
      { figure: 'one client, MB/s', of: BEST_PEER, least: { times: 0.8 }, aim: { times: 1 } },
      { figure: 'one client, CPU-s/GiB', of: NGINX, least: { times: 1.2 }, aim: { times: 1 } },
      PEAK_TARGET,
    ],
    measure,
  }
}
