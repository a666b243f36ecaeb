import type { MissingPeer } from '../peers/find-peers.ts'
import { OURS } from '../peers/oci-mirror.ts'
import { DISTURBING } from '../support/load-watch.ts'
import type { Measurement } from '../support/measurement.ts'
import type { Row, Work } from '../work/work.ts'
import { formatNumber, formatPart } from './format.ts'
import { renderTargets } from './render-targets.ts'
import type { Value } from './summary.ts'
import { Summary } from './summary.ts'
import { renderTable } from './table.ts'
import { judge } from './targets.ts'

export interface Report {
  /** When it ended, and what it ran on, a fact a line. */
  readonly facts: readonly string[]
  readonly rounds: number
  readonly works: readonly Work[]
  /** Those that were measured, in the order of the columns. */
  readonly peers: readonly { readonly name: string; readonly version: string }[]
  readonly missing: readonly MissingPeer[]
  readonly measurements: readonly Measurement[]
  /** What programs other than ours had of all cores while nothing was measured, at most. */
  readonly othersBetween: number
}

/** All of it, in Markdown. */
export function renderReport(report: Report): string {
  const summary = new Summary(report.measurements)
  return [
    '# Benchmark',
    '',
    ...report.facts.map((fact) => `- ${fact}`),
    ...report.peers.map(({ name, version }) => `- ${name} ${version}`),
    ...report.missing.map(({ name, reason }) => `- ${name}: **missing**: ${oneLine(reason)}`),
    `- ${renderOthers(report)}`,
    '',
    `Medians of ${report.rounds} rounds (least–most in parentheses), and behind × our figure divided by theirs.`,
    '',
    ...report.works.flatMap((work) => [...renderWork(work, report, summary), '']),
    ...renderTargets(judge(report.works, summary)),
    '',
  ].join('\n')
}

function renderWork(work: Work, report: Report, summary: Summary): readonly string[] {
  const present = new Set(summary.of(work.name).map(({ peer }) => peer))
  const columns = [
    ...report.peers.map(({ name }) => name).filter((name) => present.has(name)),
    ...report.missing.map(({ name }) => name),
  ]
  const cells = (row: Row) =>
    columns.map((peer) =>
      present.has(peer) ? renderCell(work.name, peer, row, summary) : 'missing',
    )
  return [
    `## ${work.name}`,
    '',
    ...renderTable(
      ['left', ...columns.map(() => 'right' as const)],
      [['', ...columns], ...work.rows.map((row) => [titleOf(row), ...cells(row)])],
    ),
    '',
    ...renderRemarks(summary.of(work.name)),
  ]
}

function titleOf({ figure, better }: Row): string {
  return `${figure} ${better === 'more' ? '↑' : '↓'}`
}

function renderCell(work: string, peer: string, { figure }: Row, summary: Summary): string {
  const value = summary.value(work, peer, figure)
  const remark = summary.remark(work, peer, figure)
  if (value === undefined) return remark ?? (isFailed(summary.of(work, peer)) ? 'failed' : '–')
  const ours = summary.value(work, OURS, figure)
  const ratio =
    peer === OURS || ours === undefined || value.median === 0
      ? ''
      : ` × ${formatNumber(ours.median / value.median)}`
  return `${renderValue(value)}${ratio}${remark === undefined ? '' : ` (once ${remark})`}`
}

function isFailed(measurements: readonly Measurement[]): boolean {
  return measurements.every(({ failed }) => failed !== undefined)
}

function renderValue({ median, least, most }: Value): string {
  const [middle, low, high] = [median, least, most].map(formatNumber)
  return low === high ? `${middle}` : `${middle} (${low}–${high})`
}

/** What failed, what was disturbed, and how long it took. */
function renderRemarks(measurements: readonly Measurement[]): readonly string[] {
  const failed = measurements.flatMap(({ peer, round, failed }) =>
    failed === undefined ? [] : [`- ${peer} failed in round ${round + 1}: ${oneLine(failed)}`],
  )
  const disturbed = measurements.filter(({ others }) => others > DISTURBING)
  const most = Math.max(...disturbed.map(({ others }) => others))
  const seconds = measurements.reduce((sum, { seconds }) => sum + seconds, 0)
  const remark =
    `- **Disturbed**: in ${disturbed.length} of ${measurements.length} measurements ` +
    `other programs had up to ${formatPart(most)} of the cores.`
  return [
    ...failed,
    ...(disturbed.length > 0 ? [remark] : []),
    `- It took ${formatNumber(seconds)} s.`,
  ]
}

function renderOthers({ measurements, othersBetween }: Report): string {
  const during = Math.max(0, ...measurements.map(({ others }) => others))
  const isDisturbed = Math.max(during, othersBetween) > DISTURBING
  const parts = `${formatPart(during)} of the cores during measurements, ${formatPart(othersBetween)} between`
  return `${isDisturbed ? '**disturbed**' : 'undisturbed'}: other programs had at most ${parts}`
}

/** A cell of a table or an item of a list is one line. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim().slice(0, 400)
}
