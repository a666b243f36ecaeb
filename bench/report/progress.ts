import { DISTURBING } from '../support/load-watch.ts'
import type { Measurement } from '../support/measurement.ts'
import { formatPart } from './format.ts'

/** One line for each, so that whoever waits sees that it goes on. */
export function tellMeasured(measurement: Measurement): void {
  const { work, peer, round, seconds, failed, others } = measurement
  const failure = failed === undefined ? '' : `, failed: ${failed.split('\n', 1)[0]}`
  const disturbed = others > DISTURBING ? `, disturbed: ${formatPart(others)}` : ''
  process.stdout.write(
    `round ${round + 1}: ${work}, ${peer}: ${seconds.toFixed(1)} s${failure}${disturbed}\n`,
  )
}
