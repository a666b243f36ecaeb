import type { Command } from 'commander'
import type { GcReport } from '../core/maintenance/reports.ts'
import type { ConfirmOptions } from './confirm.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { count, formatBytes } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions, ConfirmOptions {
  readonly dryRun?: true
}

const SHOWN = 10

export function addGc(program: Command, context: Context): void {
  program
    .command('gc')
    .description('remove blobs that nothing names, unused for an hour, and damaged ones set aside')
    .option('-n, --dry-run', 'show what would go, and remove nothing')
    .option('-y, --yes', 'do not ask')
    .addOption(outputOption())
    .action(async (options: Options, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const plan = await maintenance.gc(true)
        if (options.dryRun === true || plan.freed.blobs === 0) {
          say(context, options, plan, () => gcLines(plan))
          return
        }
        if (!(await confirm(context, command, options, gcLines(plan)))) return
        const report = await maintenance.gc(false)
        say(context, options, report, () => gcLines(report))
      })
    })
}

function gcLines({ dryRun, unreferenced, quarantined, freed }: GcReport): readonly string[] {
  if (freed.blobs === 0) return ['Nothing to remove: every blob here is named by something.']
  const rows = [
    ...unreferenced.map(({ digest, size }) => [digest, formatBytes(size), 'nothing names it']),
    ...quarantined.map(({ digest, size }) => [digest, formatBytes(size), 'damaged, set aside']),
  ]
  const rest = rows.length - SHOWN
  return [
    ...table([{ title: '' }, { title: '', align: 'right' }, { title: '' }], rows.slice(0, SHOWN)),
    ...(rest > 0 ? [`… and ${count(rest, 'more', 'more')}`] : []),
    `${dryRun ? 'would free' : 'freed'}  ${formatBytes(freed.bytes)}, ${count(freed.blobs, 'blob')}`,
  ]
}
