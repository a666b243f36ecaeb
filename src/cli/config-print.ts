import type { Command } from 'commander'
import { Option } from 'commander'
import { formatConfig } from '../config/print-config.ts'
import type { Context } from './context.ts'

interface Options {
  readonly output: 'json' | 'yaml'
}

export function addConfigPrint(config: Command, context: Context): void {
  config
    .command('print')
    .description('print the configuration in effect, without secrets')
    .addOption(new Option('-o, --output <format>', 'as').choices(['yaml', 'json']).default('yaml'))
    .action(async ({ output }: Options, command: Command) => {
      const loaded = await context.load(command)
      context.terminal.stdout.write(formatConfig(loaded, output))
    })
}
