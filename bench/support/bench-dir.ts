import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { descendants } from './proc.ts'

/** 128 and the number of the signal, as shells tell it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

/**
 * A directory for all that a run stores, removed at the end of the block. If the run is ended by a signal
 * it goes too, and before it every program that the run has started.
 */
export async function makeBenchDir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'oci-mirror-bench-'))
  const end = (signal: keyof typeof EXIT_CODES) => {
    for (const pid of descendants()) endProcess(pid)
    // In one go, so that nothing is started in between; a program that was killed may write for a moment.
    rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    process.exit(EXIT_CODES[signal])
  }
  process.on('SIGINT', end).on('SIGTERM', end)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      process.off('SIGINT', end).off('SIGTERM', end)
      await rm(path, { recursive: true, force: true })
    },
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself meanwhile.
  }
}
