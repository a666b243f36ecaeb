import type { Measurement } from '../support/measurement.ts'
import { median } from '../support/statistics.ts'

/** A figure over all rounds. */
export interface Value {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** What the rounds came to. */
export class Summary {
  readonly #measurements: readonly Measurement[]

  constructor(measurements: readonly Measurement[]) {
    this.#measurements = measurements
  }

  of(work: string, peer?: string): readonly Measurement[] {
    return this.#measurements.filter(
      (measurement) =>
        measurement.work === work && (peer === undefined || measurement.peer === peer),
    )
  }

  /** `undefined` if no round gave a number. */
  value(work: string, peer: string, figure: string): Value | undefined {
    const numbers = this.of(work, peer)
      .map(({ figures }) => figures[figure])
      .filter((value) => typeof value === 'number')
    if (numbers.length === 0) return undefined
    return {
      median: median(numbers),
      least: Math.min(...numbers),
      most: Math.max(...numbers),
    }
  }

  /** What a round said instead of a number. */
  remark(work: string, peer: string, figure: string): string | undefined {
    return this.of(work, peer)
      .map(({ figures }) => figures[figure])
      .find((value) => typeof value === 'string')
  }
}
