import type { Command } from 'commander'
import { configJsonSchema } from '../config/json-schema.ts'
import type { Context } from './context.ts'

export function addConfigSchema(config: Command, { terminal }: Context): void {
  config
    .command('schema')
    .description('print the JSON Schema of a configuration file')
    .action(() => {
      terminal.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
    })
}
