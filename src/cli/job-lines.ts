import type { WarmJobReport } from '../core/maintenance/reports.ts'
import { formatAgo, formatSpan } from './human.ts'
import { table } from './table.ts'

/** The jobs of a running mirror, if it has any. `now` in ms since the epoch. */
export function jobLines(jobs: readonly WarmJobReport[], now: number): readonly string[] {
  if (jobs.length === 0) return []
  const rows = jobs.map(({ name, schedule, runningSince, last, next }) => [
    name,
    schedule,
    runningSince === null ? '' : `for ${formatSpan(now - runningSince)}`,
    last === null ? 'not yet' : formatAgo(last.endedAt, now),
    last === null ? '-' : String(last.images),
    last === null ? '-' : String(last.failed),
    next === null ? 'never' : `in ${formatSpan(Math.max(0, next - now))}`,
  ])
  const troubles = jobs.flatMap(({ name, last }) =>
    last?.problem === undefined ? [] : [`the job ${name} had a problem: ${last.problem}`],
  )
  const columns = [
    { title: 'WARM JOB' },
    { title: 'SCHEDULE' },
    { title: 'RUNNING' },
    { title: 'LAST RUN' },
    { title: 'IMAGES', align: 'right' },
    { title: 'FAILED', align: 'right' },
    { title: 'NEXT' },
  ] as const
  return ['', ...table(columns, rows), ...(troubles.length === 0 ? [] : ['', ...troubles])]
}
