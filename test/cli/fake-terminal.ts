import { EventEmitter } from 'node:events'
import { run } from '../../src/cli/run.ts'
import type { ExitCode, Terminal } from '../../src/cli/terminal.ts'

export interface Outcome {
  readonly code: ExitCode
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions extends Partial<
  Pick<Terminal, 'ask' | 'signals' | 'stdin' | 'writeBytes'>
> {
  /** Which of them is a terminal. Default: none is. */
  readonly isTTY?: 'stdout' | 'stderr'
}

/** Runs a command line in this process, in the directory, with what is given and nothing else. */
export async function runHere(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
  { isTTY, ...given }: RunOptions = {},
): Promise<Outcome> {
  let stdout = ''
  let stderr = ''
  const tty = { isTTY: true, columns: 120 }
  const terminal: Terminal = {
    stdout: { ...(isTTY === 'stdout' && tty), write: (text) => (stdout += text) },
    stderr: { ...(isTTY === 'stderr' && tty), write: (text) => (stderr += text) },
    env,
    cwd,
    signals: new FakeSignals(),
    ...given,
  }
  const code = await run(args, terminal)
  return { code, stdout, stderr }
}

/** `process`, as far as signals go; `exits` is what it was told to end with. */
export class FakeSignals extends EventEmitter {
  readonly exits: number[] = []

  exit(code: number): void {
    this.exits.push(code)
  }
}
