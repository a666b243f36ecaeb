import type { RunningPeer } from '../support/peer.ts'
import type { Row, Target } from './work.ts'

/** Most memory that was ever resident, of all processes of the peer together. Every work tells it. */
export const PEAK = 'peak MiB'
export const PEAK_ROW: Row = { figure: PEAK, better: 'less' }
export const PEAK_TARGET: Target = { figure: PEAK, least: { plus: 256 }, aim: { plus: 150 } }

export async function peakOf(running: RunningPeer): Promise<number> {
  return (await running.usage()).peakBytes / 2 ** 20
}
