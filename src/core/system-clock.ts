import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from './ports.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      await delay(ms, undefined, { ref: false, ...(signal && { signal }) })
    } catch {
      // Aborted: the port promises to resolve, and whoever aborted knows why.
    }
  },
}
