import type { Peer, RunningPeer } from '../support/peer.ts'
import { withPeer } from '../support/with-peer.ts'
import { runWrk } from '../support/wrk.ts'
import type { Bench, Figures, Work } from './work.ts'
import { cpuBetween } from './work.ts'
import { PEAK, PEAK_ROW, PEAK_TARGET, peakOf } from './peak.ts'

interface Options {
  /** That are measured, and before them that are not. */
  readonly seconds: number
  readonly warmUpSeconds: number
}

const CONNECTIONS = 32
const MICROSECONDS = 1_000_000

/** As containerd sends it. */
const ACCEPT = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  '*/*',
].join(', ')

/** One manifest that is there, over and over: routing, permission, headers and the log line. */
export function manifests({ seconds, warmUpSeconds }: Options): Work {
  async function ask(running: RunningPeer, url: string, name: string): Promise<Figures> {
    const load = { url, connections: CONNECTIONS, headers: { accept: ACCEPT } }
    await runWrk({ ...load, seconds: warmUpSeconds })
    const before = await running.usage()
    const result = await runWrk({ ...load, seconds })
    const cpu = cpuBetween(before, await running.usage())
    return {
      [`${name}, requests/s`]: result.requestsPerSecond,
      [`${name}, CPU-µs/request`]: (cpu / result.requests) * MICROSECONDS,
      [`${name}, p99 ms`]: result.p99,
    }
  }

  async function measure(peer: Peer, bench: Bench): Promise<Figures> {
    const image = await bench.image(
      'manifests',
      Array.from({ length: 10 }, () => 1_000),
    )
    return withPeer(peer, bench, async (running) => {
      const manifest = `${running.url}/v2/${image.repository}/manifests`
      return {
        ...(await ask(running, `${manifest}/${image.tag}`, 'by tag')),
        ...(await ask(running, `${manifest}/${image.digest}`, 'by digest')),
        [PEAK]: await peakOf(running),
      }
    })
  }

  return {
    name: 'manifests',
    rows: [
      ...['by tag', 'by digest'].flatMap((name) => [
        { figure: `${name}, requests/s`, better: 'more' as const },
        { figure: `${name}, CPU-µs/request`, better: 'less' as const },
        { figure: `${name}, p99 ms`, better: 'less' as const, noisy: true },
      ]),
      PEAK_ROW,
    ],
    targets: [
      { figure: 'by tag, requests/s', of: 'distribution-3', least: { times: 40 } },
      { figure: 'by tag, requests/s', of: 'zot', least: { times: 2 }, aim: { times: 3 } },
      { figure: 'by digest, requests/s', of: 'distribution-3', least: { times: 3 } },
      { figure: 'by digest, requests/s', of: 'zot', least: { times: 1.3 }, aim: { times: 2 } },
      PEAK_TARGET,
    ],
    measure,
  }
}
