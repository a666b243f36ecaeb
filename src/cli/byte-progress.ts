import type { Command } from 'commander'
import type { Context } from './context.ts'
import { formatBytes } from './human.ts'
import { createBar } from './progress-bar.ts'

export interface ProgressOptions {
  readonly output: 'text' | 'json'
  readonly progress: boolean
}

interface Bytes {
  readonly done: number
  readonly total: number
}

/** How far something has come, on stderr. */
export interface ByteProgress {
  show(bytes: Bytes): void
  /** To be called before anything else is written. */
  clear(): void
}

/** A line each, where nobody can overwrite one. */
const LINE_MS = 5_000

export function addProgressOption(command: Command): Command {
  return command.option('--no-progress', 'say nothing on stderr while it goes on')
}

/** A bar on a terminal, else a line every few seconds: plain, or of JSON. `what` is what is being done. */
export function createByteProgress(
  what: string,
  { terminal: { stderr } }: Context,
  { output, progress }: ProgressOptions,
  now: () => number = () => performance.now(),
): ByteProgress {
  let startedAt = now()
  const bar = progress && stderr.isTTY === true && output === 'text' ? createBar(stderr) : undefined
  let toldAt = startedAt
  const show = (bytes: Bytes) => {
    const at = now()
    const rate = Math.round(bytes.done / (Math.max(1, at - startedAt) / 1000))
    if (bar !== undefined) {
      bar.show(bytes, textOf(bytes, rate))
      return
    }
    if (at - toldAt < LINE_MS) return
    toldAt = at
    if (output === 'json') stderr.write(`${JSON.stringify({ progress: { bytes, rate } })}\n`)
    else stderr.write(`${what}  ${percentOf(bytes)} %  ${textOf(bytes, rate)}\n`)
  }
  const clear = () => {
    bar?.clear()
    // What comes next has a pace of its own.
    startedAt = now()
  }
  return { show: progress ? show : () => {}, clear }
}

function textOf({ done, total }: Bytes, rate: number): string {
  return `${formatBytes(done)} of ${formatBytes(total)}  ${formatBytes(rate)}/s`
}

function percentOf({ done, total }: Bytes): number {
  return total === 0 ? 100 : Math.floor(Math.min(1, done / total) * 100)
}
