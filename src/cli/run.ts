import { Command, CommanderError } from 'commander'
import { BundleError } from '../airgap/bundle/bundle-error.ts'
import { ConfigError } from '../config/problem.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { StartError } from '../core/start-error.ts'
import { addClientConfig } from './client-config.ts'
import { addCheck } from './check.ts'
import { addConfigCheck } from './config-check.ts'
import { addConfigPrint } from './config-print.ts'
import { addConfigSchema } from './config-schema.ts'
import { Context } from './context.ts'
import { addExport } from './export.ts'
import { addHealthcheck } from './healthcheck.ts'
import { addImages } from './images.ts'
import { addImport } from './import.ts'
import { packageVersion } from '../core/package-version.ts'
import { addProbe } from './probe.ts'
import { addServe } from './serve.ts'
import type { ExitCode, Terminal } from './terminal.ts'
import { addInventory } from './inventory.ts'
import { addLs } from './ls.ts'
import { addShow } from './show.ts'
import { addTags } from './tags.ts'
import { addStats } from './stats.ts'
import { addPin, addUnpin } from './pin.ts'
import { addHold, addRelease } from './hold.ts'
import { addRm } from './rm.ts'
import { addGc } from './gc.ts'
import { addVerify } from './verify.ts'
import { addVersion } from './version.ts'
import { addWarm } from './warm.ts'

/** Runs one command line, without the program's own name, and returns how the process should end. */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const context = new Context(terminal)
  try {
    await createProgram(context).parseAsync(args, { from: 'user' })
    return context.exitCode
  } catch (error) {
    return report(error, context)
  }
}

function createProgram(context: Context): Command {
  const { stdout, stderr } = context.terminal
  const program = new Command('oci-mirror')
    .description('A pull-through cache in front of OCI and Docker registries.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option(
      '-c, --config <file>',
      'configuration file; default: the first mirror.config.* there is',
    )
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
    })
    .exitOverride()
    .showHelpAfterError('Run "oci-mirror help" to see what there is.')
  addServe(program, context)
  const config = program.command('config').description('look at the configuration')
  addConfigCheck(config, context)
  addConfigPrint(config, context)
  addConfigSchema(config, context)
  addClientConfig(program, context)
  addProbe(program, context)
  addHealthcheck(program, context)
  addLs(program, context)
  addShow(program, context)
  addTags(program, context)
  addStats(program, context)
  addPin(program, context)
  addUnpin(program, context)
  addHold(program, context)
  addRelease(program, context)
  addRm(program, context)
  addCheck(program, context)
  addInventory(program, context)
  addGc(program, context)
  addVerify(program, context)
  addExport(program, context)
  addImages(program, context)
  addWarm(program, context)
  addImport(program, context)
  addVersion(program, context)
  return program
}

/** Says what went wrong, on stderr, in as few lines as there are things to say. */
function report(error: unknown, { terminal, isVerbose }: Context): ExitCode {
  // Commander has already written its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof ConfigError) {
    terminal.stderr.write(`${error.problems.join('\n')}\n`)
    return 2
  }
  if (error instanceof MaintenanceError) {
    terminal.stderr.write(`error: ${error.message}\n`)
    return error.problem === 'invalid' || error.problem === 'ambiguous' ? 2 : 1
  }
  if (error instanceof BundleError) {
    terminal.stderr.write(`error: ${error.message}\n`)
    return error.problem === 'damaged' ? 4 : 1
  }
  const message = error instanceof Error ? error.message : String(error)
  terminal.stderr.write(`error: ${message}\n`)
  if (isVerbose && error instanceof Error) terminal.stderr.write(`${error.stack}\n`)
  if (!(error instanceof StartError) && !isVerbose) {
    terminal.stderr.write(
      'This was not foreseen. OCI_MIRROR_LOG_LEVEL=debug shows where it happened.\n',
    )
  }
  return 1
}
