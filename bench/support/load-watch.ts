import type { MachineCpu } from './proc.ts'
import { readMachineCpu, usageOf } from './proc.ts'

/** More than this part of all cores in other hands, and what is measured meanwhile is marked. */
export const DISTURBING = 0.05

/** Watches what programs that are not ours, and other machines on the same hardware, take of the processor. */
export class LoadWatch {
  #last = look()

  /** The part of all cores, 0 to 1, that others had since the last time. */
  othersSince(): number {
    const [before, now] = [this.#last, look()]
    this.#last = now
    return othersBetween(before, now)
  }
}

interface Look {
  readonly machine: MachineCpu
  /** Of this program and all that it started and waited for, in seconds. */
  readonly ours: number
}

export function othersBetween(before: Look, now: Look): number {
  const passed = now.machine.all - before.machine.all
  const others = now.machine.programs - before.machine.programs - (now.ours - before.ours)
  // Each clock is rounded on its own.
  return passed > 0 ? Math.min(Math.max(others / passed, 0), 1) : 0
}

function look(): Look {
  return { machine: readMachineCpu(), ours: usageOf(process.pid).cpuSeconds }
}
