import type { Signals } from './stop-signals.ts'

/** What a command may touch of the process that runs it, so that a test can stand in for all of it. */
export interface Terminal {
  readonly stdout: Output
  readonly stderr: Output
  /** Bytes, to standard output; the chunk is the caller's again when it resolves. */
  readonly writeBytes?: (chunk: Uint8Array) => Promise<void>
  /** Absent where nothing comes from. */
  readonly stdin?: Input
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly signals: Signals
  /** Asks the person at the terminal; absent where there is none. */
  readonly ask?: (question: string) => Promise<string>
}

interface Input extends AsyncIterable<Uint8Array> {
  readonly isTTY?: boolean | undefined
}

interface Output {
  readonly isTTY?: boolean | undefined
  /** Of a terminal: characters in a line. */
  readonly columns?: number | undefined
  write(text: string): unknown
}

/**
 * 0 it worked, 1 some or all of it failed or is missing, 2 it was called or configured wrongly, 3 a bundle lacks
 * what an earlier one had, 4 bytes are not those that their digest names.
 */
export type ExitCode = 0 | 1 | 2 | 3 | 4
