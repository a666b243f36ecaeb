import type { Figures } from '../work/work.ts'

/** One work on one peer in one round. */
export interface Measurement {
  readonly work: string
  readonly peer: string
  readonly round: number
  readonly figures: Figures
  /** Why there are none. */
  readonly failed?: string
  /** The part of all cores, 0 to 1, that programs other than ours had meanwhile. */
  readonly others: number
  readonly seconds: number
}
