import { dirname } from 'node:path'
import { readJob } from './airgap/warm/read-job.ts'
import { WarmJobs } from './airgap/warm/warm-jobs.ts'
import type { Config } from './config/config.ts'
import type { Log } from './core/log.ts'
import type { JobBoard } from './core/maintenance/job-board.ts'
import type { Operations } from './core/operations.ts'
import { systemClock } from './core/system-clock.ts'

/** Starts the jobs of the configuration. They have to be stopped. */
export function startJobs(
  { warm, source }: Config,
  operations: Operations,
  board: JobBoard,
  log: Log,
): WarmJobs {
  const dir = source === undefined ? process.cwd() : dirname(source)
  return new WarmJobs(warm.jobs, {
    warm: operations.warm,
    board,
    read: ({ name, from }) =>
      readJob(from, {
        dir,
        name: `the job ${name}`,
        // The mirror's own environment holds its secrets: a compose file has nothing but the .env beside it.
        env: {},
        served: (since) => operations.check.served(since),
        now: () => systemClock.now(),
      }),
    clock: systemClock,
    log,
  })
}
