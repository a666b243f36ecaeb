import { resolve } from 'node:path'
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { formatLock } from '../airgap/warm/lock-file.ts'
import type { WarmReport, WarmRequest } from '../core/airgap/warm-api.ts'
import type { Context } from './context.ts'
import { count } from './human.ts'
import type { ImageInputOptions, ImageInputs } from './image-inputs.ts'
import { addImageInputs, readImageInputs, sayProblems } from './image-inputs.ts'
import { outputOption, say } from './output-option.ts'
import { platformOption } from './platform-option.ts'
import { replaceFile } from './replace-file.ts'
import { abortOnStop } from './stop-signals.ts'
import type { ProgressOptions } from './warm-progress.ts'
import { createProgress } from './warm-progress.ts'
import { LACKING, warmLines } from './warm-report.ts'
import { withOperations } from './with-operations.ts'

interface Options extends ImageInputOptions, ProgressOptions {
  readonly platform?: readonly string[]
  /** False with --no-referrers. */
  readonly referrers: boolean
  readonly pin?: true
  readonly lock?: string
  readonly dryRun?: true
  readonly jobs?: number
  readonly failFast?: true
}

export function addWarm(program: Command, context: Context): void {
  const command = program
    .command('warm')
    .description(
      'fetch images before anybody asks for them; exit code 1 if some of it is not here afterwards',
    )
  addImageInputs(command)
    .addOption(platformOption())
    .option('--no-referrers', 'without signatures, SBOMs and attestations')
    .option('--pin', 'evict nothing of it from then on')
    .option('--lock <file>', 'write the digests of what is here afterwards to this file')
    .option('--dry-run', 'find out what there is to fetch, and fetch manifests only')
    .option('-j, --jobs <n>', 'images at a time; default: 4', readJobs)
    .option('--fail-fast', 'stop at the first image that fails')
    .option('--no-progress', 'say nothing before it is done')
    .addOption(outputOption())
    .action(async (args: string[], options: Options, command: Command) => {
      if (options.lock !== undefined && options.dryRun === true) {
        command.error('error: --lock is for what is here, and --dry-run brings nothing here')
      }
      await withOperations(
        context,
        command,
        async ({ warm, check }) => {
          const served = (since: number) => check.served(since)
          const inputs = await readImageInputs(context, args, options, served)
          if (inputs.lists.problems.length > 0) context.exitCode = 1
          sayProblems(context, inputs.lists)
          sayMaybe(context, options, inputs)
          if (inputs.images.length === 0) {
            command.error('error: there is nothing to warm: name images, or files that name them')
          }
          const hint = 'what has landed stays, and the next run goes on from here'
          const stopped = abortOnStop(context.terminal.signals, hint)
          const progress = createProgress(context, options)
          const report = await warm
            .warm(toRequest(inputs, options), (step) => progress.show(step), stopped)
            .finally(() => progress.end())
          await tell(context, options, report)
        },
        'filling',
      )
    })
}

function readJobs(text: string): number {
  const jobs = Number(text)
  if (/^\d{1,2}$/.test(text) && jobs >= 1 && jobs <= 32) return jobs
  throw new InvalidArgumentError('Expected a number from 1 to 32.')
}

function toRequest({ images }: ImageInputs, options: Options): WarmRequest {
  const { platform, referrers, pin, dryRun, jobs, failFast } = options
  return {
    images,
    pin: pin === true,
    dryRun: dryRun === true,
    failFast: failFast === true,
    // Without the flag, as configured.
    ...(!referrers && { referrers }),
    ...(platform !== undefined && { platforms: platform }),
    ...(jobs !== undefined && { jobs }),
  }
}

function sayMaybe({ terminal }: Context, { maybe }: Options, { lists }: ImageInputs): void {
  const left = maybe === true ? 0 : lists.maybe.length
  if (left === 0) return
  const what = count(left, 'text that only looks like an image', 'texts that only look like images')
  terminal.stderr.write(`note: ${what}: left out (\`images\` shows them, --maybe takes them)\n`)
}

async function tell(context: Context, options: Options, report: WarmReport): Promise<void> {
  say(context, options, report, () => warmLines(report))
  if (report.images.some(({ state }) => LACKING.has(state))) context.exitCode = 1
  if (options.lock === undefined) return
  const path = resolve(context.terminal.cwd, options.lock)
  await replaceFile(path, formatLock(report))
}
