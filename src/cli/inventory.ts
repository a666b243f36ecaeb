import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import type { Context } from './context.ts'
import { count } from './human.ts'
import { replaceFile } from './replace-file.ts'
import { withOperations } from './with-operations.ts'

interface Options {
  readonly out?: string
}

export function addInventory(program: Command, context: Context): void {
  program
    .command('inventory')
    .description('list what is here, as JSON, for `export --have` on the other side')
    .option('-o, --out <file>', 'write it to this file instead of standard output')
    // Scripts say it to every command.
    .addOption(new Option('--output <format>', 'json is all there is').choices(['json']))
    .action(async ({ out }: Options, command: Command) => {
      await withOperations(context, command, async ({ check }) => {
        const report = await check.inventory()
        const text = `${JSON.stringify(report, null, 1)}\n`
        const { stdout, stderr, cwd } = context.terminal
        if (out === undefined || out === '-') {
          stdout.write(text)
          return
        }
        const path = resolve(cwd, out)
        await replaceFile(path, text)
        const what = `${count(report.images.length, 'image')}, ${count(report.blobs.length, 'blob')}`
        stderr.write(`wrote     ${path}  (${what})\n`)
      })
    })
}
