/** What a pull may meet while it runs: then it may fail. */
export type Weather = 'fair' | 'hard'

/** Of the mirror's process, in bytes: all that is resident, and what Node says of it. */
export interface Memory {
  readonly resident: number
  readonly heap: number
  readonly external: number
}

/** What happened so far. */
export class Tally {
  readonly #since = performance.now()
  readonly pulls = new Map<string, number>()
  /** Failures that the design forbids, and wrong bytes: each a sentence. */
  readonly forbidden: string[] = []
  /** Pulls that failed while nothing could have answered them. */
  excused = 0
  bytes = 0
  overQuota = 0
  peakDisk = 0
  readonly #memory: ({ readonly at: number } & Memory)[] = []

  pulled(kind: string, bytes: number): void {
    this.pulls.set(kind, (this.pulls.get(kind) ?? 0) + 1)
    this.bytes += bytes
  }

  failed(kind: string, reason: unknown, weather: Weather): void {
    if (weather === 'hard') this.excused += 1
    else this.#forbid(`${kind}: ${reason instanceof Error ? reason.message : String(reason)}`)
  }

  /** Never excused. */
  wrong(what: string): void {
    this.#forbid(`WRONG BYTES: ${what}`)
  }

  disk(bytes: number, quota: number): void {
    this.peakDisk = Math.max(this.peakDisk, bytes)
    if (bytes > quota) this.overQuota += 1
  }

  memory(memory: Memory): void {
    this.#memory.push({ at: this.seconds(), ...memory })
  }

  seconds(): number {
    return (performance.now() - this.#since) / 1000
  }

  /** Means between two times in seconds; `undefined` without a sample. */
  meanMemory(from: number, to: number): Memory | undefined {
    const samples = this.#memory.filter(({ at }) => at >= from && at < to)
    if (samples.length === 0) return undefined
    const mean = (kind: keyof Memory) =>
      samples.reduce((sum, sample) => sum + sample[kind], 0) / samples.length
    return { resident: mean('resident'), heap: mean('heap'), external: mean('external') }
  }

  peakMemory(): number {
    return Math.max(0, ...this.#memory.map(({ resident }) => resident))
  }

  #forbid(what: string): void {
    this.forbidden.push(`after ${this.seconds().toFixed(1)} s: ${what}`)
  }
}
