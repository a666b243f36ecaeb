import type { Registry } from '@prometheus-io/client'
import { Counter, Gauge, Histogram } from '@prometheus-io/client'
import type { FlightEnd } from '../core/events.ts'
import type { Upstream } from '../core/upstream.ts'
import type { Lanes } from '../core/upstream-entry.ts'
import type { Received } from './metered-upstream.ts'
import { meteredUpstream } from './metered-upstream.ts'

/** One request of ours to a registry, its token server or where it redirects to. */
export interface AskedUpstream {
  readonly upstream: string
  readonly kind: RequestKind
  /** `undefined` if there was no answer. */
  readonly status: number | undefined
  /** Milliseconds until the answer's headers. */
  readonly ms: number
}

/** Looked at when somebody asks for the metrics. */
interface Watched {
  readonly name: string
  readonly client: Upstream
  readonly received: Received
}

const REQUEST_KINDS = ['manifest', 'blob', 'list', 'token'] as const
type RequestKind = (typeof REQUEST_KINDS)[number]
const FLIGHT_ENDS: readonly FlightEnd[] = ['landed', 'unkept', 'wrong', 'stopped', 'failed']
const TOKEN_RESULTS = ['issued', 'refused', 'failed'] as const
/** What registries answer. A hostile one could answer a thousand others. */
const USUAL_STATUSES: ReadonlySet<number> = new Set([
  200, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 416, 429, 500, 502, 503,
  504,
])
/** Seconds. Our patience with headers ends at ten. */
const DURATIONS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Counts what we ask of upstreams, and shows how they are. */
export class UpstreamMetrics {
  readonly #requests: Counter<'upstream' | 'kind' | 'code'>
  readonly #durations: Histogram<'upstream' | 'kind'>
  readonly #tokens: Counter<'upstream' | 'result'>
  readonly #flights: Counter<'upstream' | 'result'>
  readonly #watched: Watched[] = []

  /** `names`: every upstream that there will be. */
  constructor(registry: Registry, names: readonly string[]) {
    const registers = [registry]
    this.#requests = new Counter({
      name: 'oci_mirror_upstream_requests_total',
      help: 'Requests to upstreams, by the status of the answer; none: there was no answer.',
      labelNames: ['upstream', 'kind', 'code'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'oci_mirror_upstream_request_duration_seconds',
      help: "From a request to an upstream to its answer's headers.",
      labelNames: ['upstream', 'kind'],
      buckets: DURATIONS,
      registers,
    })
    this.#tokens = new Counter({
      name: 'oci_mirror_token_requests_total',
      help: 'Requests to token servers.',
      labelNames: ['upstream', 'result'],
      registers,
    })
    this.#flights = new Counter({
      name: 'oci_mirror_flights_total',
      help: 'Shared downloads that have ended; unkept: there was no room; wrong: the bytes were not those of the digest.',
      labelNames: ['upstream', 'result'],
      registers,
    })
    for (const name of names) this.#startAtZero(name)
    addUpstreamGauges(registry, this.#watched)
    addEndpointGauges(registry, this.#watched)
  }

  /** The same upstream, watched from now on. */
  watch(name: string, { client, background }: Lanes): Lanes {
    const received = { manifest: 0, blob: 0 }
    this.#watched.push({ name, client, received })
    return {
      client: meteredUpstream(client, received),
      background: meteredUpstream(background, received),
    }
  }

  asked({ upstream, kind, status, ms }: AskedUpstream): void {
    this.#requests.inc({ upstream, kind, code: codeOf(status) })
    this.#durations.observe({ upstream, kind }, ms / 1000)
    if (kind === 'token') this.#tokens.inc({ upstream, result: tokenResult(status) })
  }

  flightEnded(upstream: string, result: FlightEnd): void {
    this.#flights.inc({ upstream, result })
  }

  #startAtZero(upstream: string): void {
    for (const kind of REQUEST_KINDS) {
      this.#requests.inc({ upstream, kind, code: '200' }, 0)
      this.#durations.zero({ upstream, kind })
    }
    for (const result of TOKEN_RESULTS) this.#tokens.inc({ upstream, result }, 0)
    for (const result of FLIGHT_ENDS) this.#flights.inc({ upstream, result }, 0)
  }
}

/** Read from the upstreams themselves, so that nothing has to be kept in step with them. */
function addUpstreamGauges(registry: Registry, upstreams: readonly Watched[]): void {
  const labelNames = ['upstream'] as const
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_upstream_up',
      help: 'Whether the circuit of any of its endpoints is closed. Unknown counts as up; absent if it is offline.',
      labelNames,
      registers: [],
      collect() {
        for (const { name, client } of upstreams) {
          const isUp = client.state().endpoints.some(({ circuit }) => circuit.name === 'closed')
          this.set({ upstream: name }, isUp ? 1 : 0)
        }
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_upstream_requests_in_flight',
      help: 'Requests under way, blobs until their last byte, and requests that wait for a slot; background: of warming and prefetching, behind those of clients.',
      labelNames: ['upstream', 'stage'],
      registers: [],
      collect() {
        for (const { name, client } of upstreams) {
          const { underWay, queued, background } = client.state()
          this.set({ upstream: name, stage: 'under_way' }, underWay)
          this.set({ upstream: name, stage: 'queued' }, queued)
          this.set({ upstream: name, stage: 'background' }, background)
        }
      },
    }),
  )
  registry.registerMetric(
    new Counter({
      name: 'oci_mirror_upstream_bytes_total',
      help: 'Bytes of bodies received from upstreams.',
      labelNames: ['upstream', 'kind'],
      registers: [],
      collect() {
        this.reset()
        for (const { name, received } of upstreams) {
          this.inc({ upstream: name, kind: 'manifest' }, received.manifest)
          this.inc({ upstream: name, kind: 'blob' }, received.blob)
        }
      },
    }),
  )
}

function addEndpointGauges(registry: Registry, upstreams: readonly Watched[]): void {
  const labelNames = ['upstream', 'endpoint'] as const
  registry.registerMetric(
    new Gauge({
      name: 'oci_mirror_upstream_circuit_open',
      help: 'Whether we leave the endpoint alone because it has failed; 1 too while one request probes it.',
      labelNames,
      registers: [],
      collect() {
        for (const { name, client } of upstreams) {
          for (const { host, circuit } of client.state().endpoints) {
            this.set({ upstream: name, endpoint: host }, circuit.name === 'closed' ? 0 : 1)
          }
        }
      },
    }),
  )
  for (const field of ['limit', 'remaining'] as const) {
    registry.registerMetric(
      new Gauge({
        name: `oci_mirror_upstream_ratelimit_${field}`,
        help: `Pulls ${field === 'limit' ? 'in all' : 'left'} in the window, as the endpoint said last; absent if it did not.`,
        labelNames,
        registers: [],
        collect() {
          this.reset()
          for (const { name, client } of upstreams) {
            for (const { host, rateLimit } of client.state().endpoints) {
              if (rateLimit !== undefined) {
                this.set({ upstream: name, endpoint: host }, rateLimit[field])
              }
            }
          }
        },
      }),
    )
  }
}

function codeOf(status: number | undefined): string {
  if (status === undefined) return 'none'
  return USUAL_STATUSES.has(status) ? String(status) : 'other'
}

function tokenResult(status: number | undefined): (typeof TOKEN_RESULTS)[number] {
  if (status === 200) return 'issued'
  return status !== undefined && status < 500 ? 'refused' : 'failed'
}
