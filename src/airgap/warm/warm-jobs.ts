import type { WarmApi, WarmReport } from '../../core/airgap/warm-api.ts'
import type { Log } from '../../core/log.ts'
import type { JobBoard } from '../../core/maintenance/job-board.ts'
import type { Clock } from '../../core/ports.ts'
import type { JobImages, JobSource } from './read-job.ts'

export interface WarmJob {
  readonly name: string
  readonly schedule: { next(time: number): number | undefined }
  readonly from: readonly JobSource[]
  readonly platforms: readonly string[] | undefined
  readonly pin: boolean
}

interface Deps {
  readonly warm: WarmApi
  readonly board: JobBoard
  readonly read: (job: WarmJob) => Promise<JobImages>
  readonly clock: Clock
  readonly log: Log
}

/** A timer knows nothing of a clock that is set: so often is looked at it. Milliseconds. */
const LOOK_MS = 60_000
/** Images that failed, of one run, before the rest is only counted. */
const MAX_LOGGED = 50
const LACKING = new Set(['failed', 'absent', 'skipped'])

/** Runs each job at its times, one after the other: a run that lasts longer than its interval leaves out the next. */
export class WarmJobs {
  readonly #deps: Deps
  readonly #stopped = new AbortController()
  readonly #loops: readonly Promise<void>[]

  constructor(jobs: readonly WarmJob[], deps: Deps) {
    this.#deps = deps
    this.#loops = jobs.map((job) => this.#repeat(job))
  }

  /** What has landed stays; what was under way is resumed by the next run. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the mirror is stopping'))
    await Promise.all(this.#loops)
  }

  async #repeat(job: WarmJob): Promise<void> {
    const { board, clock } = this.#deps
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const next = job.schedule.next(clock.now())
      board.expects(job.name, next)
      if (next === undefined) return
      for (let rest = next - clock.now(); rest > 0 && !signal.aborted; rest = next - clock.now()) {
        await clock.sleep(Math.min(rest, LOOK_MS), signal)
      }
      if (!signal.aborted) await this.#run(job)
    }
  }

  /** Never throws: whatever is wrong with a job is in the log, and may be mended until it runs again. */
  async #run(job: WarmJob): Promise<void> {
    const { board, clock, log } = this.#deps
    const startedAt = clock.now()
    board.started(job.name, startedAt)
    log.info({ job: job.name }, 'started warming job')
    try {
      const { report, problems } = await this.#warm(job)
      const failed = report.images.filter(({ state }) => LACKING.has(state)).length
      const counts = { images: report.images.length, failed }
      const [problem] = problems
      const endedAt = clock.now()
      const fields = { ...counts, bytes: report.fetch.bytes, ms: endedAt - startedAt }
      log.info({ job: job.name, ...fields }, 'finished warming job')
      board.ended(job.name, { startedAt, endedAt, ...counts, ...(problem && { problem }) })
    } catch (reason) {
      const problem = reason instanceof Error ? reason.message : String(reason)
      board.ended(job.name, { startedAt, endedAt: clock.now(), images: 0, failed: 0, problem })
      if (!this.#stopped.signal.aborted) {
        log.error({ job: job.name, error: reason }, 'failed to run warming job')
      }
    }
  }

  async #warm(job: WarmJob): Promise<{ report: WarmReport; problems: readonly string[] }> {
    const { warm, read, log } = this.#deps
    const { images, problems } = await read(job)
    for (const problem of problems.slice(0, MAX_LOGGED)) {
      log.error({ job: job.name, problem }, 'failed to read list of images')
    }
    const how = { pin: job.pin, dryRun: false, failFast: false }
    const request = { images, ...how, ...(job.platforms && { platforms: job.platforms }) }
    const report = await warm.warm(request, () => {}, this.#stopped.signal)
    const lacking = report.images.filter(({ state }) => LACKING.has(state))
    for (const { image, from, state, reason } of lacking.slice(0, MAX_LOGGED)) {
      log.warn({ job: job.name, image, from, state, reason }, 'failed to warm image')
    }
    return { report, problems }
  }
}
