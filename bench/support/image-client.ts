import type { BenchImage } from '../work/work.ts'

/** What is waited for at most, in milliseconds: a pull that takes longer is a failure. */
export const PULL_MS = 60_000

/** A real program that pulls images, from a registry or from a mirror of it. */
export interface ImageClient {
  /**
   * Pulls everything, with nothing of it kept from before, and answers how many seconds that took; its own
   * start is part of that, as it is for its users. Rejects if something did not arrive.
   */
  pull(url: string, image: BenchImage): Promise<number>
  stop(): Promise<void>
}

/** The image as it is called there: `127.0.0.1:6001/bench/x:1`. */
export function nameAt(url: string, { repository, tag }: BenchImage): string {
  return `${new URL(url).host}/${repository}:${tag}`
}

/** How many seconds the work took. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}
