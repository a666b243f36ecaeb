import type { Command } from 'commander'
import type { DiskState } from '../core/disk-health.ts'
import type { Activity, StatsReport, UpstreamReport } from '../core/maintenance/reports.ts'
import type { EndpointState } from '../core/upstream-state.ts'
import type { Context } from './context.ts'
import { count, formatBytes, formatSpan } from './human.ts'
import { jobLines } from './job-lines.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

export function addStats(program: Command, context: Context): void {
  program
    .command('stats')
    .description('show how much is here, and how the running mirror and its upstreams fare')
    .addOption(outputOption())
    .action(async (options: OutputOptions, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const report = await maintenance.stats()
        say(context, options, report, () => statsLines(report, Date.now()))
      })
    })
}

/** `now`: ms since the epoch. */
export function statsLines(report: StatsReport, now: number): readonly string[] {
  const { stored, limits, counts, activity } = report
  const max = limits.maxSize === null ? '' : ` of at most ${formatBytes(limits.maxSize)}`
  const images = `${count(counts.tags, 'tag')} and ${count(counts.manifests, 'manifest')} of ${count(counts.repositories, 'repository', 'repositories')}`
  const marks = `${counts.pins} pinned, ${counts.holds} held`
  return [
    ...table(
      [{ title: '' }, { title: '' }],
      [
        ['stored', `${formatBytes(stored.bytes)}${max}, ${count(stored.blobs, 'blob')}`],
        ['volume', volumeOf(report)],
        ['images', `${images}; ${marks}`],
        ...(activity === null
          ? [['mirror', 'not running']]
          : [
              [
                'mirror',
                `running for ${formatSpan(now - activity.startedAt)}, ${count(activity.flights, 'download')} under way`,
              ],
              ['disk', diskOf(activity.disk, now)],
            ]),
      ],
    ),
    ...(activity === null
      ? []
      : ['', ...upstreamLines(activity, now), ...jobLines(activity.jobs, now)]),
  ]
}

function volumeOf({ volume, limits }: StatsReport): string {
  if (volume === null) return 'cannot be read: see the log, and the disk'
  const free = `${formatBytes(volume.free)} free of ${formatBytes(volume.total)}`
  return limits.minFree === null ? free : `${free}, ${formatBytes(limits.minFree)} are to stay free`
}

function diskOf(disk: DiskState, now: number): string {
  if (disk.kind === 'ok') return 'takes what is downloaded'
  const what = disk.kind === 'full' ? 'full' : 'refuses writes'
  return `${what} for ${formatSpan(now - disk.since)}, downloads are passed on unstored: ${disk.reason}`
}

function upstreamLines({ upstreams }: Activity, now: number): readonly string[] {
  const rows = upstreams.map((report) => [
    report.upstream,
    String(Object.values(report.outcomes).reduce((sum, n) => sum + n, report.failed)),
    String(report.failed),
    report.hitRatio === null ? '-' : `${(report.hitRatio * 100).toFixed(0)} %`,
    formatBytes(report.bytes),
    String(report.state.underWay),
    String(report.state.queued),
    stateOf(report, now),
    rateOf(report),
  ])
  const columns = [
    { title: 'UPSTREAM' },
    { title: 'REQUESTS', align: 'right' },
    { title: 'FAILED', align: 'right' },
    { title: 'FROM HERE', align: 'right' },
    { title: 'SENT', align: 'right' },
    { title: 'ASKING', align: 'right' },
    { title: 'WAITING', align: 'right' },
    { title: 'STATE' },
    { title: 'RATE LIMIT' },
  ] as const
  const troubles = upstreams.flatMap((report) => troublesOf(report, now))
  return [...table(columns, rows), ...(troubles.length === 0 ? [] : ['', ...troubles])]
}

function stateOf({ mode, state }: UpstreamReport, now: number): string {
  if (mode === 'offline') return 'offline'
  const circuits = state.endpoints.map((endpoint) => circuitOf(endpoint, now)).join(', ')
  return mode === 'online' ? circuits : `${mode}, ${circuits}`
}

function circuitOf({ circuit }: EndpointState, now: number): string {
  if (circuit.name === 'closed') return 'up'
  return `down for ${formatSpan(now - circuit.since)}`
}

/** A line for each endpoint that is left alone; the table has no room for a sentence. */
function troublesOf({ upstream, state }: UpstreamReport, now: number): readonly string[] {
  return state.endpoints.flatMap(({ host, circuit: { name, until = now, reason } }) => {
    if (name === 'closed') return []
    const next = name === 'open' ? `asked again in ${formatSpan(until - now)}` : 'being tried now'
    return [`${upstream} at ${host} is ${next}${reason === undefined ? '' : `: ${reason}`}`]
  })
}

function rateOf({ state }: UpstreamReport): string {
  const told = state.endpoints.flatMap(({ rateLimit }) =>
    rateLimit === undefined ? [] : [rateLimit],
  )
  const shown = told.map(({ remaining, limit }) => `${remaining} of ${limit} pulls left`).join(', ')
  if (shown === '') return '-'
  return state.isSaving ? `${shown}, saving` : shown
}
