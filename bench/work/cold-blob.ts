import { openImage } from '../support/open-image.ts'
import { coldStarts } from '../support/cold-starts.ts'
import { download, verify } from '../support/download.ts'
import { DIRECT } from '../peers/direct.ts'
import type { Peer } from '../support/peer.ts'
import { median } from '../support/statistics.ts'
import { withPeer } from '../support/with-peer.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'
import type { Bench, Figures, Work } from './work.ts'
import { cpuBetween } from './work.ts'

const MB = 1e6
const GIB = 2 ** 30

/** A blob that nobody has asked for yet: fetched, checked, stored and sent on, all at once. */
export function coldBlob({ bytes }: { readonly bytes: number }): Work {
  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    const image = await bench.image('blob', [bytes])
    return withPeer(peer, bench, async (running) => {
      const [firstEver = NaN, ...others] = await coldStarts(running, bench)
      const begun = performance.now()
      const before = await running.usage()
      const url = await openImage(running.url, image)
      const manifestMs = performance.now() - begun
      const { totalMs, firstBytesMs } = await download(url, bytes)
      const cpu = cpuBetween(before, await running.usage())
      await verify(url, bytes)
      return {
        'manifest, ms': manifestMs,
        'first byte, ms': median([...others, ...firstBytesMs]),
        'first byte of a new process, ms': firstEver,
        'MB/s': bytes / MB / (totalMs / 1000),
        'manifest and blob, s': (manifestMs + totalMs) / 1000,
        'CPU-s/GiB': (cpu / bytes) * GIB,
        [PEAK]: await peakOf(running),
      }
    })
  }

  return {
    name: 'cold-blob',
    rows: [
      { figure: 'manifest, ms', better: 'less', noisy: true },
      { figure: 'first byte, ms', better: 'less', noisy: true },
      { figure: 'first byte of a new process, ms', better: 'less', noisy: true },
      { figure: 'MB/s', better: 'more' },
      { figure: 'manifest and blob, s', better: 'less' },
      { figure: 'CPU-s/GiB', better: 'less' },
      PEAK_ROW,
    ],
    targets: [
      { figure: 'MB/s', of: 'distribution-3', least: { times: 0.9 }, aim: { times: 1.1 } },
      { figure: 'CPU-s/GiB', of: 'distribution-3', least: { times: 1.3 }, aim: { times: 1 } },
      { figure: 'first byte, ms', of: DIRECT, least: { plus: 5 }, aim: { plus: 2 } },
      PEAK_TARGET,
    ],
    direct: true,
    measure,
  }
}
