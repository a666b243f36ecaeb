import { collectDefaultMetrics, Gauge, Registry } from '@prometheus-io/client'
import type { DiskState } from '../core/disk-health.ts'
import type { MirrorEvents } from '../core/events.ts'
import type { WarmJobReport } from '../core/maintenance/reports.ts'
import { addJobMetrics } from './job-metrics.ts'
import { RequestMetrics } from './request-metrics.ts'
import type { WatchedStore } from './store-metrics.ts'
import { StoreMetrics } from './store-metrics.ts'
import { UpstreamMetrics } from './upstream-metrics.ts'

export interface MetricsOptions {
  readonly version: string
  /** The names of all that are configured. */
  readonly upstreams: readonly string[]
  readonly store: WatchedStore
}

/** The Prometheus exposition format, as text. */
interface Exposition {
  readonly contentType: string
  readonly body: string
}

/**
 * What the mirror counts, under names that begin with `oci_mirror_`, besides Node's own. Labels are
 * configured names and fixed words: nothing that a client or an upstream says can add a time series.
 */
export interface Metrics {
  readonly requests: RequestMetrics
  readonly upstreams: UpstreamMetrics
  readonly events: MirrorEvents
  /** The mirror that there is only once its events have somewhere to go. */
  watchDisk(state: () => DiskState): void
  watchJobs(jobs: () => readonly WarmJobReport[]): void
  render(): Promise<Exposition>
}

/** To be called once in a process: what the client library watches of Node it watches until the end. */
export function createMetrics({ version, upstreams, store }: MetricsOptions): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopUtilizationTimeout: 1000 })
  new Gauge({
    name: 'oci_mirror_build_info',
    help: 'Always 1; the labels tell the versions of the mirror and of Node.',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version, node: process.version }, 1)
  const requestMetrics = new RequestMetrics(registry, upstreams)
  const upstreamMetrics = new UpstreamMetrics(registry, upstreams)
  const storeMetrics = new StoreMetrics(registry, store)
  let jobs: (() => readonly WarmJobReport[]) | undefined
  addJobMetrics(registry, () => jobs?.() ?? [])
  return {
    requests: requestMetrics,
    upstreams: upstreamMetrics,
    events: {
      flightEnded: (upstream, end) => upstreamMetrics.flightEnded(upstream, end),
      evicted: (bytes) => storeMetrics.evicted(bytes),
    },
    watchDisk: (state) => storeMetrics.watchDisk(state),
    watchJobs: (watched) => (jobs = watched),
    async render() {
      return { contentType: registry.contentType, body: await registry.metrics() }
    },
  }
}
