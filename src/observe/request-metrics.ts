import type { Registry } from '@prometheus-io/client'
import { Counter, Gauge, Histogram } from '@prometheus-io/client'

/** One request, told when its answer is over. */
export interface AnsweredRequest {
  readonly method: string
  /** Milliseconds, to the end of the answer. */
  readonly ms: number
  readonly status: number
  /** Of the body, as far as it was sent. */
  readonly bytes: number
  /** The answer ended before it was complete. */
  readonly isCut: boolean
  readonly subject: {
    /** Only for what is no request for content: a fixed word. */
    readonly route?: string
    readonly kind?: ContentKind
    /** A configured one. */
    readonly upstream?: string
    readonly outcome?: Outcome
    readonly error?: unknown
  }
}

const KINDS = ['manifest', 'blob', 'tags', 'referrers'] as const
type ContentKind = (typeof KINDS)[number]
const OUTCOMES = ['hit', 'joined', 'miss', 'revalidated', 'stale', 'denied'] as const
type Outcome = (typeof OUTCOMES)[number]
/** Answers without content: there is none, the request was wrong, we could not, the client left first. */
const REFUSALS = ['absent', 'refused', 'failed', 'left'] as const
const FROM_UPSTREAM: ReadonlySet<string | undefined> = new Set(['miss', 'joined'])
const SOURCES = ['cache', 'upstream'] as const
const CUT_BY = ['client', 'mirror'] as const

/** Seconds: a manifest from memory takes one thousandth, a layer over a slow line minutes. */
const DURATIONS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 20, 60, 300]

/** Counts what clients ask, and what they get. One call when a request arrives, one when it is over. */
export class RequestMetrics {
  readonly #requests: Counter<'upstream' | 'kind' | 'outcome'>
  readonly #bytes: Counter<'upstream' | 'kind' | 'source'>
  readonly #cuts: Counter<'upstream' | 'kind' | 'by'>
  readonly #durations: Histogram<'handler' | 'method' | 'code'>
  #underWay = 0

  constructor(registry: Registry, upstreams: readonly string[]) {
    const registers = [registry]
    this.#requests = new Counter({
      name: 'oci_mirror_requests_total',
      help: 'Requests for content, by how they were answered.',
      labelNames: ['upstream', 'kind', 'outcome'],
      registers,
    })
    this.#bytes = new Counter({
      name: 'oci_mirror_served_bytes_total',
      help: 'Bytes of bodies sent to clients; less oci_mirror_upstream_bytes_total, what the mirror saved.',
      labelNames: ['upstream', 'kind', 'source'],
      registers,
    })
    this.#cuts = new Counter({
      name: 'oci_mirror_cut_answers_total',
      help: 'Answers that ended before they were complete, by who ended them.',
      labelNames: ['upstream', 'kind', 'by'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'oci_mirror_http_request_duration_seconds',
      help: 'From the head of a request to the end of its answer, at the pace of the client.',
      labelNames: ['handler', 'method', 'code'],
      buckets: DURATIONS,
      registers,
    })
    const underWay = () => this.#underWay
    registry.registerMetric(
      new Gauge({
        name: 'oci_mirror_http_requests_in_flight',
        help: 'Requests whose answer is not over.',
        registers: [],
        collect() {
          this.set(underWay())
        },
      }),
    )
    for (const upstream of upstreams) this.#startAtZero(upstream)
  }

  arrived(): void {
    this.#underWay += 1
  }

  answered({ method, ms, status, bytes, isCut, subject }: AnsweredRequest): void {
    this.#underWay -= 1
    const { route, kind, upstream, outcome, error } = subject
    const handler = kind ?? route ?? 'other'
    this.#durations.observe({ handler, method: wordFor(method), code: status }, ms / 1000)
    if (kind === undefined || upstream === undefined) return
    this.#requests.inc({ upstream, kind, outcome: outcomeOf(status, outcome) })
    if (isCut) this.#cuts.inc({ upstream, kind, by: error === undefined ? 'client' : 'mirror' })
    if (bytes === 0 || status >= 400) return
    const source = FROM_UPSTREAM.has(outcome) ? 'upstream' : 'cache'
    this.#bytes.inc({ upstream, kind, source }, bytes)
  }

  /** A rate over a counter that appears with its first event misses that event. */
  #startAtZero(upstream: string): void {
    for (const kind of KINDS) {
      for (const outcome of [...OUTCOMES, ...REFUSALS]) {
        this.#requests.inc({ upstream, kind, outcome }, 0)
      }
      for (const source of SOURCES) this.#bytes.inc({ upstream, kind, source }, 0)
      for (const by of CUT_BY) this.#cuts.inc({ upstream, kind, by }, 0)
    }
  }
}

function outcomeOf(
  status: number,
  outcome: Outcome | undefined,
): Outcome | (typeof REFUSALS)[number] {
  if (status < 400 && outcome !== undefined) return outcome
  if (outcome === 'denied') return outcome
  if (status === 404) return 'absent'
  if (status === 499 || status < 400) return 'left'
  return status < 500 ? 'refused' : 'failed'
}

/** Node knows forty methods, and a client may use them all. */
function wordFor(method: string): string {
  return method === 'GET' || method === 'HEAD' ? method : 'other'
}
