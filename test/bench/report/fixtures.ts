import type { Measurement } from '../../../bench/support/measurement.ts'
import type { Figures, Target, Work } from '../../../bench/work/work.ts'

export const RATE = 'requests/s'
export const COST = 'CPU-s/GiB'
export const WAIT = 'first byte, ms'

export function workWith(targets: readonly Target[] = []): Work {
  return {
    name: 'work',
    rows: [
      { figure: RATE, better: 'more' },
      { figure: COST, better: 'less' },
      { figure: WAIT, better: 'less', noisy: true },
    ],
    targets,
    measure: async () => ({}),
  }
}

export function measured(
  peer: string,
  figures: Figures,
  rest: Partial<Measurement> = {},
): Measurement {
  return { work: 'work', peer, round: 0, figures, others: 0, seconds: 1, ...rest }
}
