import type { WarmProgress, WarmReport, WarmRequest } from '../../../src/core/airgap/warm-api.ts'
import type { Clock } from '../../../src/core/ports.ts'
import { systemClock } from '../../../src/core/system-clock.ts'
import type { TestMirror } from '../../support/test-mirror.ts'

const HURRY = 8
const STARTED = systemClock.now()

/** The real time, so many times as fast: nobody wants to wait for the pauses between attempts. */
export const hurried: Clock = {
  now: () => STARTED + (systemClock.now() - STARTED) * HURRY,
  sleep: (ms, signal) => systemClock.sleep(ms / HURRY, signal),
}

export interface Warmed {
  readonly report: WarmReport
  readonly steps: readonly WarmProgress[]
  /** State by full name. */
  readonly states: Readonly<Record<string, string>>
}

type Options = Partial<Omit<WarmRequest, 'images'>> & {
  readonly signal?: AbortSignal
  /** Where its steps go while it runs. */
  readonly steps?: WarmProgress[]
}

/** Warms these images, with everything at its default that is not given. */
export async function warm(
  mirror: TestMirror,
  images: readonly string[],
  { signal = new AbortController().signal, steps = [], ...options }: Options = {},
): Promise<Warmed> {
  const report = await mirror.operations.warm.warm(
    {
      images: images.map((reference) => ({ reference })),
      pin: false,
      dryRun: false,
      failFast: false,
      ...options,
    },
    (step) => steps.push(step),
    signal,
  )
  const states = Object.fromEntries(report.images.map(({ image, state }) => [image, state]))
  return { report, steps, states }
}
