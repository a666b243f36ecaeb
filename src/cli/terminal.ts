import type { Signals } from './stop-signals.ts'

/** What a command may touch of the process that runs it, so that a test can stand in for all of it. */
export interface Terminal {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly signals: Signals
  /** Asks the person at the terminal; absent where there is none. */
  readonly ask?: (question: string) => Promise<string>
}

interface Output {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** 0 it worked, 1 it failed, 2 it was called or configured wrongly. */
export type ExitCode = 0 | 1 | 2
