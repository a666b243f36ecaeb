import type { Bound } from '../work/work.ts'
import { formatNumber } from './format.ts'
import { renderTable } from './table.ts'
import type { Verdict } from './targets.ts'

const HEAD = ['work', 'figure', 'ours', 'against', 'ratio', 'at least', '', 'aim', '']

/** What was to be reached, and whether it was. */
export function renderTargets(verdicts: readonly Verdict[]): readonly string[] {
  if (verdicts.length === 0) return []
  return [
    '## Targets',
    '',
    ...renderTable(
      ['left', 'left', 'right', 'right', 'right', 'right', 'left', 'right', 'left'],
      [HEAD, ...verdicts.map(cellsOf)],
    ),
  ]
}

function cellsOf(verdict: Verdict): readonly string[] {
  const { work, target, ours, other, least, aim } = verdict
  const held =
    other === undefined ? (target.of ?? '') : `${other.peer} ${formatNumber(other.value)}`
  const ratio = ours === undefined || other === undefined ? '' : formatNumber(ours / other.value)
  const aimed = target.aim === undefined ? ['', ''] : [limit(verdict, target.aim), reached(aim)]
  return [
    work,
    target.figure,
    ours === undefined ? 'no figure' : formatNumber(ours),
    held,
    ratio === '' ? '' : `× ${ratio}`,
    limit(verdict, target.least),
    reached(least),
    ...aimed,
  ]
}

function limit({ target, better }: Verdict, { times, plus }: Bound): string {
  const sign = better === 'more' ? '≥' : '≤'
  if (target.of === undefined) return `${sign} ${plus ?? 0}`
  const parts = [times === undefined ? '' : `× ${times}`, plus === undefined ? '' : `+ ${plus}`]
  return `${sign} ${parts.join(' ').trim()}`
}

function reached(verdict: boolean | undefined): string {
  if (verdict === undefined) return 'not known'
  return verdict ? 'reached' : '**not reached**'
}
