import { readFileSync } from 'node:fs'

/** Changes whenever the machine starts. `undefined` where the system does not tell (it is Linux's). */
export function readBootId(path = '/proc/sys/kernel/random/boot_id'): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    // Another system, or a /proc that is closed to us: then every start counts as one after a crash.
    return undefined
  }
}
