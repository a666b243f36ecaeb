import { access } from 'node:fs/promises'
import { join } from 'node:path'

/** What is built here once is found again by the next run. */
export const CACHE = join(import.meta.dirname, '../../../.cache')

/**
 * One thing that the tests or the benchmark need, and what to do when it cannot be had. Tells what it does,
 * and how long it took.
 */
export async function installStep(
  command: string,
  remedy: string,
  work: () => Promise<void>,
): Promise<void> {
  process.stdout.write(`install: ${command}\n`)
  const start = performance.now()
  try {
    await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`"${command}" failed (${remedy}): ${reason}`, { cause })
  }
  const seconds = Math.round((performance.now() - start) / 1000)
  process.stdout.write(`install: … took ${seconds} s\n`)
}

export async function fileExists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    // Absent is an answer here.
    return false
  }
}
