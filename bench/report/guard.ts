import { OURS } from '../peers/oci-mirror.ts'
import type { Row, Work } from '../work/work.ts'
import { formatNumber } from './format.ts'
import type { Summary } from './summary.ts'

/** Our figures divided by theirs: work, figure, peer. */
export type Ratios = Readonly<Record<string, Readonly<Record<string, PeerRatios>>>>

type PeerRatios = Readonly<Record<string, number>>

/** One figure, now and as it was recorded. */
interface Comparison {
  /** One line, with the ratios to all peers. */
  readonly text: string
  readonly isLost: boolean
}

/** Half of what was reached, or twice of what was needed, is no noise any more. */
const GROSS = 2

/** A peer that has no figure has no ratio. */
export function ratiosOf(
  works: readonly Work[],
  peers: readonly string[],
  summary: Summary,
): Ratios {
  const ofRow = (work: string, { figure }: Row): PeerRatios => {
    const ours = summary.value(work, OURS, figure)?.median
    const pairs = peers.flatMap((peer) => {
      const theirs = summary.value(work, peer, figure)?.median
      return ours === undefined || theirs === undefined || theirs === 0
        ? []
        : [[peer, Number((ours / theirs).toPrecision(3))] as const]
    })
    return Object.fromEntries(pairs)
  }
  return Object.fromEntries(
    works.map(({ name, rows }) => [
      name,
      Object.fromEntries(rows.map((row) => [row.figure, ofRow(name, row)])),
    ]),
  )
}

/**
 * Every figure next to the recorded one. It is lost if it got grossly worse to all peers: one that did so
 * to a single peer is that peer's luck. What was recorded and is not there any more is lost too.
 */
export function compare(
  works: readonly Work[],
  recorded: Ratios,
  measured: Ratios,
): readonly Comparison[] {
  return works.flatMap(({ name, rows }) =>
    rows.map((row) => {
      const before = recorded[name]?.[row.figure] ?? {}
      const now = measured[name]?.[row.figure] ?? {}
      const peers = Object.keys({ ...before, ...now })
      const texts = peers.map((peer) => `${render(now[peer])} to ${peer} (${render(before[peer])})`)
      const isWorse = (peer: string) => isGrosslyWorse(row.better, before[peer], now[peer])
      const known = Object.keys(before)
      return {
        text: `${name}, ${row.figure}: ${texts.join(', ')}${row.noisy === true ? ', not guarded' : ''}`,
        isLost: row.noisy !== true && known.length > 0 && known.every(isWorse),
      }
    }),
  )
}

function isGrosslyWorse(
  better: 'more' | 'less',
  before: number | undefined,
  now: number | undefined,
): boolean {
  if (before === undefined || now === undefined) return true
  return better === 'more' ? now < before / GROSS : now > before * GROSS
}

function render(ratio: number | undefined): string {
  return ratio === undefined ? 'none' : `× ${formatNumber(ratio)}`
}
