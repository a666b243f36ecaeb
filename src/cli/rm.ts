import type { Command } from 'commander'
import type { RemovalReport } from '../core/maintenance/reports.ts'
import type { ConfirmOptions } from './confirm.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { count, formatBytes } from './human.ts'
import { listFileOption } from './image-inputs.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { removeUnlisted } from './rm-unlisted.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions, ConfirmOptions {
  readonly all?: true
  readonly dryRun?: true
  readonly unlisted?: true
  readonly file?: readonly string[]
}

export function addRm(program: Command, context: Context): void {
  program
    .command('rm')
    .description('remove images from the cache; upstream keeps them, and a pull brings them back')
    .argument('[image...]', 'names, or globs such as ghcr.io/org/*')
    .option('-a, --all', 'a glob may mean several images')
    .option('--unlisted', 'remove every image that the lists (-f) do not name, instead')
    .addOption(listFileOption())
    .option('-n, --dry-run', 'show what would go, and remove nothing')
    .option('-y, --yes', 'do not ask')
    .addOption(outputOption())
    .action(async (references: string[], options: Options, command: Command) => {
      checkUsage(references, options, command)
      if (options.unlisted === true) {
        await removeUnlisted(context, command, options)
        return
      }
      const request = { references, all: options.all === true }
      await withOperations(context, command, async ({ maintenance }) => {
        const plan = await maintenance.remove({ ...request, dryRun: true })
        if (options.dryRun === true) {
          say(context, options, plan, () => removalLines(plan))
          return
        }
        if (!(await confirm(context, command, options, removalLines(plan)))) return
        const report = await maintenance.remove({ ...request, dryRun: false })
        say(context, options, report, () => removalLines(report))
      })
    })
}

function checkUsage(
  references: readonly string[],
  { unlisted, all, file = [] }: Options,
  command: Command,
): void {
  if (unlisted === undefined) {
    if (file.length > 0) command.error('error: -f names what stays, and is for --unlisted')
    if (references.length === 0) command.error('error: name the images that are to be removed')
    return
  }
  if (references.length > 0 || all !== undefined) {
    command.error('error: --unlisted takes what stays from -f, and neither names nor --all')
  }
  if (file.length === 0) command.error('error: --unlisted needs a list of what stays: -f FILE')
}

function removalLines({ dryRun, images, freed, kept }: RemovalReport): readonly string[] {
  const removed = dryRun ? 'would remove' : 'removed'
  const shared = `${count(kept.blobs, 'blob')}, ${formatBytes(kept.bytes)}, stay for other images`
  return [
    ...images.map(({ image, tags, manifests }) => {
      const others = tags.length > 1 ? `, tags ${tags.join(', ')}` : ''
      const what = manifests === 0 ? 'the tag only' : count(manifests, 'manifest')
      return `${removed}  ${image}  (${what}${others})`
    }),
    `${dryRun ? 'would free' : 'freed'}    ${formatBytes(freed.bytes)}, ${count(freed.blobs, 'blob')}`,
    ...(kept.blobs === 0 ? [] : [shared]),
  ]
}
