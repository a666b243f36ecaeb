import type { Command } from 'commander'
import type { HoldReport } from '../core/maintenance/reports.ts'
import type { Context } from './context.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { withOperations } from './with-operations.ts'

export function addHold(program: Command, context: Context): void {
  program
    .command('hold')
    .description(
      'freeze a tag at a digest, whatever upstream says; without @DIGEST at what it is now',
    )
    .argument('<image>', 'such as alpine:3@sha256:…')
    .addOption(outputOption())
    .action(async (image: string, options: OutputOptions, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const report = await maintenance.hold(image)
        say(context, options, report, () => heldLines(report))
      })
    })
}

export function addRelease(program: Command, context: Context): void {
  program
    .command('release')
    .description('let a tag that is held follow upstream again')
    .argument('<image>', 'such as alpine:3')
    .addOption(outputOption())
    .action(async (image: string, options: OutputOptions, command: Command) => {
      await withOperations(context, command, async ({ maintenance }) => {
        const report = await maintenance.release(image)
        say(context, options, report, () => [
          `released  ${report.image}`,
          `until upstream says otherwise it is  ${report.digest}`,
        ])
      })
    })
}

function heldLines({ image, digest, before }: HoldReport): readonly string[] {
  return [
    `held    ${image}`,
    `at      ${digest}`,
    ...(before === undefined ? [] : [`before  ${before}`]),
  ]
}
