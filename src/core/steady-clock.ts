import type { Clock } from './ports.ts'

/**
 * The same clock for measuring: where the time is set back, this one stands still for a moment instead, or
 * what was to be forgotten within seconds would be remembered until the old time comes again.
 */
export function steady(clock: Clock): Clock {
  let last = clock.now()
  let lost = 0
  return {
    now() {
      const now = clock.now() + lost
      if (now < last) lost += last - now
      else last = now
      return last
    },
    sleep: (ms, signal) => clock.sleep(ms, signal),
  }
}
