import type { UpstreamName } from '../../oci/reference.ts'
import type { Outcome } from '../outcome.ts'
import type { UpstreamEntry } from '../upstream-entry.ts'
import type { UpstreamReport } from './reports.ts'

/** Answers that needed nothing of upstream. */
const FROM_HERE = new Set(['hit', 'stale', 'revalidated'])

/** A request for content whose answer is over. */
interface Answered {
  readonly status: number
  /** Of the body, that were sent. */
  readonly bytes: number
  readonly subject: { readonly upstream?: string; readonly outcome?: Outcome | 'denied' }
}

interface Table {
  bytes: number
  failed: number
  readonly outcomes: Map<string, number>
}

/** How requests were answered since the start, by upstream: a fixed number of small tables. */
export class RequestCounts {
  readonly #startedAt: number
  readonly #tables: ReadonlyMap<string, Table>

  constructor(upstreams: Iterable<UpstreamName>, startedAt: number) {
    this.#startedAt = startedAt
    this.#tables = new Map([...upstreams].map((name) => [name, newTable()]))
  }

  get startedAt(): number {
    return this.#startedAt
  }

  add({ status, bytes, subject: { upstream, outcome } }: Answered): void {
    const table = upstream === undefined ? undefined : this.#tables.get(upstream)
    if (table === undefined) return
    if (status >= 500) table.failed += 1
    if (status >= 500 || outcome === undefined) return
    table.bytes += bytes
    table.outcomes.set(outcome, (table.outcomes.get(outcome) ?? 0) + 1)
  }

  report(
    upstream: UpstreamName,
    { mode, client }: Pick<UpstreamEntry, 'client' | 'mode'>,
  ): UpstreamReport {
    const { bytes, failed, outcomes } = this.#tables.get(upstream) ?? newTable()
    let all = 0
    let fromHere = 0
    for (const [outcome, count] of outcomes) {
      all += count
      if (FROM_HERE.has(outcome)) fromHere += count
    }
    const hitRatio = all === 0 ? null : fromHere / all
    const counted = { outcomes: Object.fromEntries(outcomes), bytes, failed, hitRatio }
    return { upstream, mode, ...counted, state: client.state() }
  }
}

function newTable(): Table {
  return { bytes: 0, failed: 0, outcomes: new Map() }
}
