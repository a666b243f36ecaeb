import { DIRECT } from '../peers/direct.ts'
import { OURS } from '../peers/oci-mirror.ts'
import type { Bound, Target, Work } from '../work/work.ts'
import { BEST_PEER } from '../work/work.ts'
import type { Summary } from './summary.ts'

/** A target, and what became of it. */
export interface Verdict {
  readonly work: string
  readonly target: Target
  readonly better: 'more' | 'less'
  readonly ours?: number
  /** What it is held against, and whose figure that is: the best peer has a name here. */
  readonly other?: { readonly peer: string; readonly value: number }
  /** `undefined` if one of the two figures is missing. */
  readonly least?: boolean
  readonly aim?: boolean
}

/** Every target of these works. */
export function judge(works: readonly Work[], summary: Summary): readonly Verdict[] {
  return works.flatMap((work) =>
    (work.targets ?? []).map((target) => judgeOne(work, target, summary)),
  )
}

function judgeOne(work: Work, target: Target, summary: Summary): Verdict {
  const better = work.rows.find(({ figure }) => figure === target.figure)?.better
  if (better === undefined) throw new Error(`${work.name} has no row ${target.figure}`)
  const facts = { work: work.name, target, better }
  const ours = summary.value(work.name, OURS, target.figure)?.median
  const other = heldAgainst(work.name, target, better, summary)
  const known = { ...(ours !== undefined && { ours }), ...(other !== undefined && { other }) }
  if (ours === undefined || (target.of !== undefined && other === undefined)) {
    return { ...facts, ...known }
  }
  const reaches = (bound: Bound) => {
    const limit = limitOf(bound, other?.value ?? 0)
    return better === 'more' ? ours >= limit : ours <= limit
  }
  return {
    ...facts,
    ...known,
    least: reaches(target.least),
    ...(target.aim && { aim: reaches(target.aim) }),
  }
}

function limitOf({ times = 1, plus = 0 }: Bound, value: number): number {
  return times * value + plus
}

function heldAgainst(
  work: string,
  { figure, of }: Target,
  better: 'more' | 'less',
  summary: Summary,
): Verdict['other'] {
  const mirrors = new Set(summary.of(work).map(({ peer }) => peer))
  const candidates = of === BEST_PEER ? [...mirrors.difference(new Set([OURS, DIRECT]))] : [of]
  const sign = better === 'more' ? -1 : 1
  return candidates
    .flatMap((peer) => {
      const value = peer === undefined ? undefined : summary.value(work, peer, figure)?.median
      return peer === undefined || value === undefined ? [] : [{ peer, value }]
    })
    .toSorted((a, b) => sign * (a.value - b.value))[0]
}
