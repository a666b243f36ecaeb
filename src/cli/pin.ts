import type { Command } from 'commander'
import type { PinReport } from '../core/maintenance/reports.ts'
import type { Context } from './context.ts'
import { count } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions {
  readonly all?: true
}

export function addPin(program: Command, context: Context): void {
  addCommand(program, context, 'pin', 'never evict images, what is pulled of them later included')
}

export function addUnpin(program: Command, context: Context): void {
  addCommand(program, context, 'unpin', 'let images be evicted again')
}

function addCommand(
  program: Command,
  context: Context,
  name: 'pin' | 'unpin',
  description: string,
): void {
  program
    .command(name)
    .description(description)
    .argument('<image...>', 'names, or globs such as ghcr.io/org/*')
    .option('-a, --all', 'a glob may mean several images')
    .addOption(outputOption())
    .action(async (references: string[], options: Options, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const report = await maintenance[name]({ references, all: options.all === true })
        say(context, options, report, () => pinLines(name, report))
      })
    })
}

function pinLines(name: 'pin' | 'unpin', { images }: PinReport): readonly string[] {
  const done = name === 'pin' ? 'pinned' : 'unpinned'
  const before = name === 'pin' ? 'already pinned' : 'was not pinned'
  return images.map(({ image, changed, missingBlobs }) => {
    const line = `${changed ? done : before}  ${image}`
    if (name === 'unpin' || missingBlobs === 0) return line
    const them = count(missingBlobs, 'blob')
    return `${line}  (${them} of it not here yet: kept once pulled)`
  })
}
