import { open, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Program } from '../../test/e2e/support/programs.ts'
import type { Usage } from './peer.ts'
import { processesOf, usageOf } from './proc.ts'

interface ServerOptions {
  /** A file: what it prints goes there, not through us. */
  readonly log: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly isReady: () => Promise<boolean>
}

export interface Server {
  readonly pid: number
  usage(): Promise<Usage>
  /** Ends it with SIGTERM and waits. Rejects if it had ended before: what was measured is not its best. */
  stop(): Promise<void>
  /** Ends it, and what it started, with SIGKILL, and waits. */
  kill(): Promise<void>
}

/** A start is measured until it is ready: the fastest take some 10 ms. */
const POLL_MS = 5
const POLLS = 10
const SHOWN = 1_000

/** A server in a process of its own. Rejects with what it printed last if it does not get ready. */
export async function startServer(
  command: string,
  args: readonly string[],
  { log, env = {}, cwd, isReady }: ServerOptions,
): Promise<Server> {
  const printed = await open(log, 'a')
  const program = Program.start(command, args, {
    stdio: ['ignore', printed.fd, printed.fd],
    // Nothing that this shell happens to have may configure it.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  await printed.close()
  try {
    await program.ready(() => isSoon(isReady))
  } catch (cause) {
    throw new Error(`${program.name} did not start: ${await lastOf(log)}`, { cause })
  }
  return {
    pid: program.pid,
    usage: async () => usageOf(program.pid),
    stop: async () => {
      const { isRunning } = program
      await program.stop()
      if (!isRunning) throw new Error(`${program.name} had ended: ${await lastOf(log)}`)
    },
    kill: async () => {
      // A worker would outlive its master.
      for (const pid of processesOf(program.pid)) process.kill(pid, 'SIGKILL')
      await program.exited
    },
  }
}

/** Looks several times before `Program` looks again. */
async function isSoon(isReady: () => Promise<boolean>): Promise<boolean> {
  for (let n = 0; n < POLLS; n += 1) {
    if (await isReady()) return true
    await sleep(POLL_MS)
  }
  return false
}

async function lastOf(log: string): Promise<string> {
  return (await readFile(log, 'utf8')).trimEnd().slice(-SHOWN)
}
