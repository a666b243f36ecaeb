import { openImage } from '../support/open-image.ts'
import { coldStarts } from '../support/cold-starts.ts'
import type { DownloadResult } from '../support/download.ts'
import { download } from '../support/download.ts'
import type { Peer } from '../support/peer.ts'
import { percentile } from '../support/statistics.ts'
import { withPeer } from '../support/with-peer.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'
import type { Bench, Figures, Row, Target, Work } from './work.ts'

interface Options {
  /** How many at once: one herd after another, each of them cold. */
  readonly herds: readonly number[]
  /** Of the blob. */
  readonly bytes: number
  /** A herd that is not served then is called off: a mirror that downloads for each client needs minutes. */
  readonly deadlineMs: number
}

const MB = 1e6

/** Many clients at once that ask for one blob that nobody has asked for yet. */
export function herd({ herds, bytes, deadlineMs }: Options): Work {
  async function drive(peer: Peer, bench: Bench, clients: number): Promise<Figures> {
    const image = await bench.image('herd', [bytes])
    return withPeer(peer, bench, async (running) => {
      await coldStarts(running, bench)
      const before = bench.sent()
      const url = await openImage(running.url, image)
      const result = await download(url, bytes, { clients, deadlineMs })
      // Heads and manifest are far below a thousandth of the blob.
      const upstream = Math.round(((bench.sent() - before) / bytes) * 1000) / 1000
      const figures = figuresOf(result, upstream, { clients, deadlineMs })
      return { ...figures, [PEAK]: await peakOf(running) }
    })
  }

  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    let peak = 0
    const all: Record<string, number | string> = {}
    for (const clients of herds) {
      const { [PEAK]: herdsPeak, ...figures } = await drive(peer, bench, clients)
      peak = Math.max(peak, Number(herdsPeak))
      Object.assign(all, figures)
    }
    return { ...all, [PEAK]: peak }
  }

  return {
    name: 'herd',
    rows: [...herds.flatMap(rowsOf), PEAK_ROW],
    targets: [...herds.filter((clients) => clients === 200).flatMap(targetsOf), PEAK_TARGET],
    measure,
  }
}

function figuresOf(
  { totalMs, firstBytesMs, unfinished, receivedBytes }: DownloadResult,
  upstream: number,
  { clients, deadlineMs }: { readonly clients: number; readonly deadlineMs: number },
): Figures {
  const late = `not after ${deadlineMs / 1000} s`
  const waiting = Array.from({ length: clients - firstBytesMs.length }, () => Infinity)
  const p99 = percentile([...firstBytesMs, ...waiting], 0.99)
  return {
    [`${clients} clients, upstream bytes ÷ blob`]: upstream,
    [`${clients} clients, first byte p99 ms`]: Number.isFinite(p99) ? p99 : late,
    [`${clients} clients, total s`]:
      unfinished > 0 ? `${late}: ${clients - unfinished} done` : totalMs / 1000,
    [`${clients} clients, MB/s together`]: receivedBytes / MB / (totalMs / 1000),
  }
}

function rowsOf(clients: number): readonly Row[] {
  return [
    { figure: `${clients} clients, upstream bytes ÷ blob`, better: 'less' },
    { figure: `${clients} clients, first byte p99 ms`, better: 'less', noisy: true },
    { figure: `${clients} clients, total s`, better: 'less' },
    { figure: `${clients} clients, MB/s together`, better: 'more' },
  ]
}

function targetsOf(clients: number): readonly Target[] {
  return [
    { figure: `${clients} clients, upstream bytes ÷ blob`, least: { plus: 1 } },
    { figure: `${clients} clients, first byte p99 ms`, least: { plus: 100 }, aim: { plus: 50 } },
  ]
}
