import { EventEmitter } from 'node:events'
import { run } from '../../src/cli/run.ts'
import type { ExitCode, Terminal } from '../../src/cli/terminal.ts'

export interface Outcome {
  readonly code: ExitCode
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line in this process, in the directory, with the environment and nothing else. */
export async function runHere(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  let stdout = ''
  let stderr = ''
  const terminal: Terminal = {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    env,
    cwd,
    signals: new FakeSignals(),
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
