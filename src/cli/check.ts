import type { Command } from 'commander'
import type { CheckedImage, CheckReport } from '../core/airgap/check-api.ts'
import type { Context } from './context.ts'
import { count, formatBytes } from './human.ts'
import type { ImageInputOptions } from './image-inputs.ts'
import { addImageInputs, readImageInputs, sayProblems } from './image-inputs.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { platformOption } from './platform-option.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions, ImageInputOptions {
  readonly platform?: readonly string[]
  readonly signatures?: true
}

export function addCheck(program: Command, context: Context): void {
  const command = program
    .command('check')
    .description(
      'see whether images are here with every layer, so that they need no upstream; exit code 1 if not',
    )
  addImageInputs(command)
    .addOption(platformOption())
    .option('--signatures', 'each image, or each of its wanted platforms, has to have a signature')
    .addOption(outputOption())
    .action(async (args: string[], options: Options, command: Command) => {
      const { platform, signatures } = options
      await withOperations(context, command, async ({ check }) => {
        const { images, lists } = await readImageInputs(context, args, options, (since) =>
          check.served(since),
        )
        sayProblems(context, lists)
        if (lists.problems.length > 0) context.exitCode = 1
        if (images.length === 0) {
          command.error('error: there is nothing to check: name images, or files that name them')
        }
        const report = await check.check({
          images,
          signatures: signatures === true,
          ...(platform !== undefined && { platforms: platform }),
        })
        say(context, options, report, () => checkLines(report))
        if (report.complete < report.images.length) context.exitCode = 1
      })
    })
}

function checkLines({ platforms, images, complete }: CheckReport): readonly string[] {
  const columns = [
    { title: 'IMAGE' },
    { title: 'PLATFORMS' },
    { title: 'STATE' },
    { title: 'MISSING' },
  ] as const
  const rows = images.map((image) => [
    image.image,
    platformsOf(image),
    image.state,
    missingOf(image),
  ])
  const troubles = images.flatMap(troubleOf)
  const verdict = `${complete} of ${count(images.length, 'image')} complete`
  return [
    ...table(columns, rows),
    '',
    ...(troubles.length === 0 ? [] : [...troubles, '']),
    `${verdict}, for ${platforms.includes('all') ? 'all platforms' : platforms.join(', ')}`,
  ]
}

/** With a mark at those that are not whole, and at those that the image is not made for. */
function platformsOf({ platforms, unknownPlatforms }: CheckedImage): string {
  const shown = [
    ...platforms.map(({ platform, complete }) => (complete ? platform : `${platform} (parts)`)),
    ...unknownPlatforms.map((platform) => `${platform} (none)`),
  ]
  return shown.length === 0 ? '-' : shown.join(', ')
}

function missingOf({ missing: { blobs, bytes, isMore } }: CheckedImage): string {
  if (blobs === 0) return '-'
  return `${isMore ? 'at least ' : ''}${count(blobs, 'blob')}, ${formatBytes(bytes)}`
}

/** A line for each that is not complete; the table has no room for a sentence. */
function troubleOf({ image, from, reason }: CheckedImage): readonly string[] {
  if (reason === undefined) return []
  const where = from === undefined ? '' : ` (${from})`
  // Some reasons say of themselves what they are about.
  return [reason.startsWith(image) ? `${reason}${where}` : `${image}${where}: ${reason}`]
}
