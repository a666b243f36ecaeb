import type { WarmJobReport, WarmJobRun } from './reports.ts'

interface Entry {
  readonly name: string
  readonly schedule: string
  next: number | undefined
  startedAt: number | undefined
  last: WarmJobRun | undefined
  lastSuccess: number | undefined
}

/** How the configured jobs fare, since the start. Times in ms since the epoch. */
export class JobBoard {
  readonly #entries: ReadonlyMap<string, Entry>

  constructor(
    jobs: readonly { readonly name: string; readonly schedule: { readonly text: string } }[],
  ) {
    this.#entries = new Map(jobs.map(({ name, schedule }) => [name, newEntry(name, schedule.text)]))
  }

  /** `undefined`: never again. */
  expects(name: string, next: number | undefined): void {
    const entry = this.#entries.get(name)
    if (entry !== undefined) entry.next = next
  }

  started(name: string, at: number): void {
    const entry = this.#entries.get(name)
    if (entry !== undefined) entry.startedAt = at
  }

  ended(name: string, run: WarmJobRun): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    entry.startedAt = undefined
    entry.last = run
    if (run.failed === 0 && run.problem === undefined) entry.lastSuccess = run.endedAt
  }

  report(): readonly WarmJobReport[] {
    return [...this.#entries.values()].map(({ startedAt, next, last, lastSuccess, ...job }) => ({
      ...job,
      runningSince: startedAt ?? null,
      next: next ?? null,
      last: last ?? null,
      lastSuccess: lastSuccess ?? null,
    }))
  }
}

function newEntry(name: string, schedule: string): Entry {
  const unknown = { next: undefined, startedAt: undefined, last: undefined, lastSuccess: undefined }
  return { name, schedule, ...unknown }
}
