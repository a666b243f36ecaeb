import { resolve } from 'node:path'
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import type { Sink } from '../airgap/export/bundle-files.ts'
import type { ExportOptions } from '../airgap/export/export-bundle.ts'
import { exportBundle } from '../airgap/export/export-bundle.ts'
import { readDuration } from '../config/duration.ts'
import { readSize } from '../config/size.ts'
import type { ExportReport } from '../airgap/export/export-report.ts'
import type { ExportRequest } from '../core/airgap/export-api.ts'
import { packageVersion } from '../core/package-version.ts'
import { StartError } from '../core/start-error.ts'
import { systemClock } from '../core/system-clock.ts'
import type { ProgressOptions } from './byte-progress.ts'
import { addProgressOption, createByteProgress } from './byte-progress.ts'
import type { Context } from './context.ts'
import { exportLines } from './export-lines.ts'
import { listFileOption, readImageInputs, sayProblems } from './image-inputs.ts'
import { longOutputOption } from './output-option.ts'
import { abortOnStop } from './stop-signals.ts'
import { withOperations } from './with-operations.ts'

interface Options extends ProgressOptions {
  readonly out?: string
  readonly file?: readonly string[]
  readonly all?: true
  readonly pinned?: true
  /** ms */
  readonly usedSince?: number
  readonly have?: readonly string[]
  readonly platform?: readonly string[]
  readonly referrers: boolean
  readonly split?: number
  readonly format: 'bundle' | 'docker'
  readonly refName: 'tag' | 'full'
  readonly force?: true
  readonly dryRun?: true
}

export function addExport(program: Command, context: Context): void {
  const command = program
    .command('export')
    .description(
      'write images to a bundle, for a mirror that reaches no registry; exit code 1 if some are not here as a whole, 4 if something is damaged',
    )
    .argument('[image...]', 'names, or globs of full names such as ghcr.io/org/*')
    .option('-o, --out <file>', 'such as week34.tar; - for standard output')
    .addOption(listFileOption())
    .option('--all', 'every image that is here')
    .option('--pinned', 'every image that is pinned')
    .option(
      '--used-since <span>',
      'every image that was used within the last 30d, for example',
      readSpan,
    )
    .addOption(haveOption())
    .addOption(platformOption())
    .option('--no-referrers', 'leave out signatures, SBOMs and attestations')
    .option('--split <size>', 'write parts, each smaller than 4GiB, for example', readBytes)
    .addOption(formatOption())
    .addOption(refNameOption())
    .option('--force', 'replace the files of an earlier export')
    .option('--dry-run', 'say what would be written, and write nothing')
  addProgressOption(command)
    .addOption(longOutputOption())
    .action(async (references: string[], options: Options) => {
      refuseContradictions(references, options, command)
      await runExport(references, options, context, command)
    })
}

async function runExport(
  references: readonly string[],
  options: Options,
  context: Context,
  command: Command,
): Promise<void> {
  const { file = [] } = options
  const { lists } = await readImageInputs(context, [], { file }, noLog)
  const request = toRequest([...references, ...lists.images.map((one) => one.reference)], options)
  const places = new Map(lists.images.map(({ reference, from }) => [reference, from]))
  const { terminal } = context
  await withOperations(context, command, async ({ exports }) => {
    const progress = createByteProgress('exported', context, options)
    const signal = abortOnStop(terminal.signals, 'nothing was written under the final names')
    const report = await exportBundle(
      request,
      toExportOptions(options, context),
      {
        exports,
        clock: systemClock,
        tool: `oci-mirror ${packageVersion()}`,
        onProgress: ({ bytes }) => progress.show(bytes),
      },
      signal,
    ).finally(() => progress.clear())
    const lines =
      options.output === 'json' ? [JSON.stringify(report, null, 2)] : exportLines(report, places)
    // Standard output is the bundle's, if it goes there.
    const output = options.out === '-' ? terminal.stderr : terminal.stdout
    output.write(`${lines.join('\n')}\n`)
    sayProblems(context, lists)
    context.exitCode = exitCodeOf(report, lists.problems.length)
  })
}

/** Nothing to write is no success, unless the other side has all of it. */
function exitCodeOf({ incomplete, full }: ExportReport, problems: number): 0 | 1 | 4 {
  if (incomplete.some(({ isDamaged }) => isDamaged === true)) return 4
  return incomplete.length > 0 || problems > 0 || full.images === 0 ? 1 : 0
}

/** `--from-log` is not among the options. */
function noLog(): Promise<readonly string[]> {
  return Promise.resolve([])
}

function toRequest(references: readonly string[], options: Options): ExportRequest {
  const { all = false, pinned = false, usedSince, platform, referrers } = options
  return {
    references,
    all,
    pinned,
    referrers,
    ...(usedSince !== undefined && { usedSince: Date.now() - usedSince }),
    ...(platform !== undefined && { platforms: platform }),
  }
}

function toExportOptions(options: Options, { terminal }: Context): ExportOptions {
  const { out = '-', format, refName, split, have = [], force, dryRun } = options
  return {
    out: out === '-' ? standardOutput(terminal) : resolve(terminal.cwd, out),
    format,
    refName,
    have: have.map((source) => (isUrl(source) ? source : resolve(terminal.cwd, source))),
    force: force === true,
    dryRun: dryRun === true,
    ...(split !== undefined && { split }),
  }
}

function standardOutput({ stdout, writeBytes }: Context['terminal']): Sink {
  return (chunk) => {
    if (writeBytes !== undefined && stdout.isTTY !== true) return writeBytes(chunk)
    throw new StartError('-o - is standard output, and that is a terminal: pipe it, or name a file')
  }
}

/** Ends the command with what is wrong. */
function refuseContradictions(
  references: readonly string[],
  { out, file, all, pinned, usedSince, split, have, format, dryRun }: Options,
  command: Command,
): void {
  const isGiven = references.length > 0 || file !== undefined || usedSince !== undefined
  if (!isGiven && all === undefined && pinned === undefined) {
    command.error('error: name images, or use -f, --all, --pinned or --used-since')
  }
  if (out === undefined && dryRun === undefined) {
    command.error('error: name the file to write with -o, or use --dry-run')
  }
  if (out === '-' && split !== undefined) {
    command.error('error: parts (--split) need names: use -o with a file')
  }
  if (format === 'docker' && (split !== undefined || have !== undefined)) {
    command.error(
      'error: --format docker is one file for any Docker: use it without --split and --have',
    )
  }
}

function haveOption(): Option {
  return new Option(
    '--have <source>',
    'what the other side has and needs not be carried: its inventory, an earlier bundle or the .json beside it, or the URL of its admin listener (repeatable)',
  ).argParser(collect)
}

function platformOption(): Option {
  return new Option(
    '--platform <platform>',
    'such as linux/amd64,linux/arm64, or all (repeatable; default: as warm.platforms says)',
  ).argParser((text: string, before: readonly string[] | undefined) => [
    ...(before ?? []),
    ...text.split(','),
  ])
}

function formatOption(): Option {
  return new Option('--format <format>', 'bundle, or docker for `docker load`')
    .choices(['bundle', 'docker'])
    .default('bundle')
}

function refNameOption(): Option {
  return new Option(
    '--ref-name <name>',
    'what skopeo, oras and regctl call an image: its tag, or its full name',
  )
    .choices(['tag', 'full'])
    .default('tag')
}

function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text]
}

function readSpan(text: string): number {
  const reading = readDuration(text)
  if ('value' in reading) return reading.value
  throw new InvalidArgumentError(`Expected ${reading.expected}.`)
}

function readBytes(text: string): number {
  const reading = readSize(text)
  if ('value' in reading && reading.value > 0) return reading.value
  throw new InvalidArgumentError('Expected a size such as 4GiB.')
}

function isUrl(source: string): boolean {
  return /^https?:\/\//.test(source)
}
