import type { Command } from 'commander'
import type { Context } from './context.ts'
import { packageVersion } from '../core/package-version.ts'

export function addVersion(program: Command, { terminal }: Context): void {
  program
    .command('version')
    .description('print the version, and that of Node.js')
    .action(() => {
      terminal.stdout.write(`oci-mirror ${packageVersion()} (Node.js ${process.versions.node})\n`)
    })
}
