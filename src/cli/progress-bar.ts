import { Writable } from 'node:stream'
import { SingleBar } from 'cli-progress'
import type { Context } from './context.ts'

type Stderr = Context['terminal']['stderr']

/** One line that is written over, on a terminal. */
export interface ProgressBar {
  /** Bytes, and what is said beside them. */
  show(bytes: { readonly done: number; readonly total: number }, text: string): void
  /** Takes it away, so that something else can be written; it comes back when it is shown again. */
  clear(): void
}

export function createBar(stderr: Stderr): ProgressBar {
  let bar: SingleBar | undefined
  return {
    show({ done, total }, text) {
      if (bar === undefined) {
        bar = newBar(stderr)
        bar.start(total, done, { text })
        return
      }
      bar.setTotal(total)
      bar.update(done, { text })
    },
    clear() {
      bar?.stop()
      bar = undefined
    },
  }
}

function newBar(stderr: Stderr): SingleBar {
  return new SingleBar({
    format: '{bar} {percentage} %  {text}',
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    fps: 5,
    // Cut to the terminal's width: switching its own wrapping off would outlive a kill.
    linewrap: true,
    clearOnComplete: true,
    emptyOnZero: true,
    // Signals are ours, and whoever loses patience keeps the cursor.
    gracefulExit: false,
    hideCursor: null,
    stream: asStream(stderr),
  })
}

/** The library wants a stream; a terminal of ours is only written to. */
function asStream(stderr: Stderr): Writable {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      stderr.write(chunk.toString())
      done()
    },
  })
  return Object.assign(stream, { isTTY: true, columns: stderr.columns ?? 80 })
}
