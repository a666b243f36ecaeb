import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { LAYOUT_ENTRY } from '../airgap/bundle/entry-name.ts'
import { findBundles } from '../airgap/bundle/find-bundles.ts'
import { openArchive } from '../airgap/import/archive-file.ts'
import { DOCKER_ENTRY } from '../airgap/import/docker-manifest.ts'
import type { ImportChoice } from '../airgap/import/import-cargo.ts'
import { importCargo } from '../airgap/import/import-cargo.ts'
import type { CargoReport, ImportReport } from '../airgap/import/import-report.ts'
import { exitCodeOf } from '../airgap/import/import-report.ts'
import { loadCargo } from '../airgap/import/load-cargo.ts'
import { selectCargo } from '../airgap/import/select-cargo.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import type { Operations } from '../core/operations.ts'
import { NoSpace } from '../core/ports.ts'
import type { ProgressOptions } from './byte-progress.ts'
import { addProgressOption, createByteProgress } from './byte-progress.ts'
import type { Context } from './context.ts'
import { importErrors, importLines, planLines } from './import-lines.ts'
import { longOutputOption, say } from './output-option.ts'
import { replaceFile } from './replace-file.ts'
import { abortOnStop } from './stop-signals.ts'
import { withOperations } from './with-operations.ts'

interface Options extends ProgressOptions {
  readonly only?: string
  readonly name?: string
  readonly overwrite?: true
  readonly pin?: 'all' | 'carried'
  readonly dryRun?: true
  readonly receipt?: string
}

export function addImport(program: Command, context: Context): void {
  const command = program
    .command('import')
    .description(
      'take in images that were carried here; exit code 1 if some were not taken, 3 if something is missing, 4 if something is damaged',
    )
    .argument(
      '<file...>',
      'bundles, their parts in any order, the .json beside them or a directory of them; OCI layouts (tar or directory), what docker save writes; - for a bundle on standard input',
    )
    .option('--only <glob>', 'only images whose full names match, such as docker.io/library/*')
    .option('--name <repository>', 'the repository of what an archive has no full name for')
    .option('--overwrite', 'move tags also where the one that is here is newer')
    .addOption(pinOption())
    .option('--dry-run', 'say what would be done, and do nothing')
    .option('-o, --receipt <file>', 'write what is here afterwards, for `export --have`')
  addProgressOption(command)
    .addOption(longOutputOption())
    .action(async (files: string[], options: Options) => {
      if (files.filter((file) => file === '-').length > 1) {
        command.error('error: standard input (-) can be read once: name it once')
      }
      await runImport(files, options, context, command)
    })
}

async function runImport(
  files: readonly string[],
  options: Options,
  context: Context,
  command: Command,
): Promise<void> {
  const { terminal } = context
  const signal = abortOnStop(
    terminal.signals,
    'what has come so far stays, and the next run goes on from there',
  )
  const take = async (operations: Operations): Promise<ImportReport> => {
    const bundles = await importAll(files, options, context, operations, signal)
    if (options.receipt !== undefined && options.dryRun === undefined) {
      const inventory = await operations.check.inventory()
      const path = resolve(terminal.cwd, options.receipt)
      await replaceFile(path, `${JSON.stringify(inventory)}\n`)
    }
    return { dryRun: options.dryRun === true, bundles }
  }
  const report = await withOperations(context, command, take, 'filling')
  sayReport(report, options, context)
  context.exitCode = exitCodeOf(report)
}

async function importAll(
  names: readonly string[],
  options: Options,
  context: Context,
  { imports }: Operations,
  signal: AbortSignal,
): Promise<readonly CargoReport[]> {
  const { terminal } = context
  const { only, name, overwrite = false, pin = 'none', dryRun = false } = options
  const archives = []
  for (const name of names) {
    for (const file of await filesOf(name, terminal.cwd)) {
      archives.push(await openArchive(file, terminal.cwd, terminal.stdin))
    }
  }
  const loaded = await loadCargo(archives, { name, now: Date.now() }, signal)
  const choice: ImportChoice = { overwrite, pin, dryRun }
  const reports: CargoReport[] = []
  const progress = createByteProgress('imported', context, options)
  try {
    for (const one of loaded) {
      const cargo = only === undefined ? one : await selectCargo(one, only)
      const hooks = {
        onPlan: (plan: CargoReport['plan']) => {
          progress.clear()
          if (options.output === 'text') terminal.stderr.write(`${planLines(plan).join('\n')}\n`)
        },
        onProgress: ({
          bytes,
        }: {
          readonly bytes: { readonly done: number; readonly total: number }
        }) => progress.show(bytes),
      }
      reports.push(await importCargo(cargo, choice, hooks, imports, signal))
    }
  } catch (reason) {
    if (!(reason instanceof NoSpace)) throw reason
    const hint = 'what has come so far stays: make room, and run it again'
    throw new MaintenanceError('refused', `${reason.message}; ${hint}`)
  } finally {
    progress.clear()
    for (const one of loaded) await one.close()
  }
  return reports
}

/** As `verify` has them: the list beside a bundle means its parts, and a directory the bundles in it. */
async function filesOf(name: string, cwd: string): Promise<readonly string[]> {
  const path = resolve(cwd, name)
  const isLayout = [LAYOUT_ENTRY, DOCKER_ENTRY].some((entry) => existsSync(join(path, entry)))
  if (name === '-' || isLayout) return [name]
  const { tars, missing } = (await findBundles(path)) ?? { tars: [], missing: [] }
  if (tars.length > 0) return tars
  const [first] = missing
  if (first === undefined) return [name]
  throw new MaintenanceError('invalid', `${first} is not there, which ${name} is the list of`)
}

function sayReport(report: ImportReport, options: Options, context: Context): void {
  const receipt = options.receipt === undefined ? undefined : basename(options.receipt)
  say(context, options, report, () => importLines(report, receipt))
  for (const line of importErrors(report)) context.terminal.stderr.write(`${line}\n`)
}

function pinOption(): Option {
  return new Option('--pin [which]', 'never evict them: all, or those that were pinned before')
    .choices(['all', 'carried'])
    .preset('all')
}
