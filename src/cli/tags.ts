import type { Command } from 'commander'
import type { ListedChange } from '../core/maintenance/reports.ts'
import type { Context } from './context.ts'
import { formatAgo, formatTime } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

export function addTags(program: Command, context: Context): void {
  program
    .command('tags')
    .description('show what a tag has been, newest first; without :TAG every tag of the repository')
    .argument('<image>', 'such as alpine:3, ghcr.io/org/image')
    .addOption(outputOption())
    .action(async (image: string, options: OutputOptions, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const changes = await maintenance.history(image)
        say(context, options, changes, () => changeLines(changes, Date.now()))
      })
    })
}

function changeLines(changes: readonly ListedChange[], now: number): readonly string[] {
  const rows = changeRows(changes, now).map((row, index) => [changes[index]?.image ?? '', ...row])
  return table([{ title: 'TAG' }, { title: 'SINCE' }, { title: '' }, { title: 'DIGEST' }], rows)
}

/** Time, age and digest of each. */
export function changeRows(changes: readonly ListedChange[], now: number): string[][] {
  return changes.map(({ digest, at }) => [formatTime(at), formatAgo(at, now), digest ?? 'dropped'])
}
