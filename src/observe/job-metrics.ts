import type { Registry } from '@prometheus-io/client'
import { Gauge } from '@prometheus-io/client'
import type { WarmJobReport } from '../core/maintenance/reports.ts'

/** What the last run of each configured job came to. Absent before the first one since the start. */
export function addJobMetrics(registry: Registry, jobs: () => readonly WarmJobReport[]): void {
  const labelNames = ['job'] as const
  const gauge = (name: string, help: string, read: (report: WarmJobReport) => number | undefined) =>
    registry.registerMetric(
      new Gauge({
        name: `oci_mirror_warm_job_${name}`,
        help,
        labelNames,
        registers: [],
        collect() {
          this.reset()
          for (const report of jobs()) {
            const value = read(report)
            if (value !== undefined) this.set({ job: report.name }, value)
          }
        },
      }),
    )
  gauge(
    'last_success_timestamp_seconds',
    'When a run of the job last ended with everything here; absent before the first one since the start.',
    ({ lastSuccess }) => (lastSuccess === null ? undefined : lastSuccess / 1000),
  )
  gauge(
    'failed_images',
    'Images that the last run of the job failed to fetch, or did not try; absent before the first one since the start.',
    ({ last }) => last?.failed,
  )
  gauge('running', '1 while the job runs.', ({ runningSince }) => (runningSince === null ? 0 : 1))
}
