import type { WarmProgress } from '../core/airgap/warm-api.ts'
import type { Context } from './context.ts'
import { count, formatBytes } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { createBar } from './progress-bar.ts'

export interface ProgressOptions extends OutputOptions {
  /** `--no-progress` */
  readonly progress: boolean
}

interface ShownProgress {
  show(progress: WarmProgress): void
  /** Takes away what is not to stay. */
  end(): void
}

/** Milliseconds between two lines where no bar can be drawn. */
const LINE_MS = 5_000

/** On stderr: JSON for programs, a bar on a terminal, else a line now and then. `now` in ms. */
export function createProgress(
  { terminal }: Context,
  { output, progress }: ProgressOptions,
  now: () => number = () => performance.now(),
): ShownProgress {
  const { stderr } = terminal
  if (!progress) return { show: () => {}, end: () => {} }
  if (output === 'json') {
    return { show: (step) => stderr.write(`${JSON.stringify(step)}\n`), end: () => {} }
  }
  if (stderr.isTTY === true) {
    const bar = createBar(stderr)
    return { show: (step) => bar.show(step.bytes, describe(step)), end: () => bar.clear() }
  }
  let next = now() + LINE_MS
  return {
    show(step) {
      if (now() < next) return
      next = now() + LINE_MS
      stderr.write(`${describe(step)}\n`)
    },
    end: () => {},
  }
}

function describe({ images, bytes, current }: WarmProgress): string {
  const failed = images.failed === 0 ? '' : `, ${images.failed} failed`
  const of = `${images.done} of ${count(images.total, 'image')}${failed}`
  return `${of}  ${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}${describeCurrent(current)}`
}

function describeCurrent([first, ...others]: WarmProgress['current']): string {
  if (first === undefined) return ''
  return `  ${first}${others.length === 0 ? '' : ` and ${others.length} more`}`
}
