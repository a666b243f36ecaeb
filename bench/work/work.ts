import type { Peer, Usage } from '../support/peer.ts'

/**
 * What one work measures of one peer in one round: the key names figure and unit, `requests/s`. Text
 * tells why there is no number: `not after 30 s`.
 */
export type Figures = Readonly<Record<string, number | string>>

/** What a work finds ready: one upstream for all, and places for its files. */
export interface Bench {
  /** Empty; removed after this measurement. */
  readonly dir: string
  /** The same for all measurements of a run; removed after it. */
  readonly shared: string
  /** The registry that every peer mirrors, directly. */
  readonly upstream: string
  /** Puts an image there and names it; the same name again is the same image. Layers in bytes each. */
  image(name: string, layers: readonly number[]): Promise<BenchImage>
  /** Bytes that the upstream has written to anybody since it was started, heads of answers included. */
  sent(): number
}

export interface BenchImage {
  readonly repository: string
  readonly tag: string
  readonly digest: string
  readonly manifestBytes: number
  readonly config: { readonly digest: string; readonly size: number }
  readonly layers: readonly { readonly digest: string; readonly size: number }[]
}

/** One kind of work. It starts and stops the peer itself, with a store of its own each time. */
export interface Work {
  readonly name: string
  /** Rows of the table, in order: the figures' keys and how to read them. */
  readonly rows: readonly Row[]
  readonly targets?: readonly Target[]
  /** Whether the upstream itself is measured too, as the peer `direct`. */
  readonly direct?: boolean
  measure(peer: Peer, bench: Bench): Promise<Figures>
}

export interface Row {
  readonly figure: string
  readonly better: 'more' | 'less'
  /** A few milliseconds, which differ so much from run to run that they tell of no loss. */
  readonly noisy?: boolean
}

/** What ours is to reach. */
export interface Target {
  readonly figure: string
  /** The peer whose figure it is held against, or `BEST_PEER`; without it, plain numbers. */
  readonly of?: string
  readonly least: Bound
  readonly aim?: Bound
}

/** `times` (1) what it is held against, and so much more (0). */
export interface Bound {
  readonly times?: number
  readonly plus?: number
}

/** Whichever of the mirrors, ours apart, has the best figure. */
export const BEST_PEER = 'the best peer'

/** CPU that was used between two looks, in seconds. */
export function cpuBetween(before: Usage, after: Usage): number {
  return after.cpuSeconds - before.cpuSeconds
}
