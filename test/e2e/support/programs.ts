import type { ChildProcess, StdioOptions } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const READY_MS = 30_000
const POLL_MS = 50
const STOP_MS = 20_000
const COMMAND_MS = 120_000

/** Of util-linux. It becomes the command: the process is the same. */
const SETPRIV = 'setpriv'

interface StartOptions extends ProgramOptions {
  /** Default: what it prints is kept in memory. */
  readonly stdio?: StdioOptions
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/**
 * A process of ours: ended by its own pid, and never left behind. A run that is itself ended by a signal
 * cleans nothing up, so the kernel ends its programs then (`--pdeathsig`): dockerd unmounts what it mounted.
 */
export class Program {
  readonly name: string
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    this.exited = once(child, 'close').then(() => ({
      code: child.exitCode,
      signal: child.signalCode,
    }))
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
  }

  static start(command: string, args: readonly string[], options: StartOptions = {}): Program {
    const child = spawn(SETPRIV, ['--pdeathsig', 'TERM', '--', command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    })
    return new Program(command, child)
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start`)
    return this.#child.pid
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  stdout(): string {
    return this.#stdout
  }

  stderr(): string {
    return this.#stderr
  }

  /** Whoever read what it prints has gone, as a log collector that crashed. */
  stopReading(): void {
    this.#child.stdout?.destroy()
    this.#child.stderr?.destroy()
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /**
   * Resolves when `isReady` does; fails at once, with what it printed, when the process ends before. One
   * that does not get ready in time is ended.
   */
  async ready(isReady: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + READY_MS
    while (Date.now() < end) {
      if (!this.isRunning) throw new Error(`${this.name} ended at once:\n${this.#output()}`)
      if (await isReady()) return
      await sleep(POLL_MS)
    }
    await this.stop()
    throw new Error(`${this.name} was not ready after ${READY_MS / 1000} s:\n${this.#output()}`)
  }

  /** Asks it to end, and makes it if it does not. */
  async stop(): Promise<Exit> {
    if (this.isRunning) this.kill('SIGTERM')
    const patience = new AbortController()
    const late = sleep(STOP_MS, undefined, { signal: patience.signal }).then(
      () => this.kill('SIGKILL'),
      // Aborted: it ended in time.
      () => undefined,
    )
    const exit = await this.exited
    patience.abort()
    await late
    return exit
  }

  #output(): string {
    return (this.#stderr + this.#stdout).slice(-4_000)
  }
}

const executeFile = promisify(execFile)

interface CommandOptions extends ProgramOptions {
  /** Milliseconds. Default two minutes. */
  readonly timeoutMs?: number
}

/** Runs a command to its end; fails with what it printed. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { timeoutMs = COMMAND_MS, ...process } = options
  try {
    const { stdout } = await executeFile(command, args, {
      ...process,
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout
  } catch (cause) {
    const stderr = (cause as { stderr?: string }).stderr ?? ''
    const isLate = (cause as { killed?: boolean }).killed === true
    const shown = [command.split('/').at(-1), ...args].join(' ')
    const end = isLate ? ` (ended after ${timeoutMs / 1000} s)` : ''
    throw new Error(`${shown}${end}\n${stderr.slice(-4_000)}`, { cause })
  }
}

/** A port that was free a moment ago, for programs that cannot be asked which one they got. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Whether the URL answers with one of these statuses. */
export async function answers(url: string, statuses: readonly number[]): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    await response.arrayBuffer()
    return statuses.includes(response.status)
  } catch {
    // Not listening yet.
    return false
  }
}
