import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { readSize } from '../config/size.ts'
import type { VerifyProgress, VerifyReport } from '../core/maintenance/reports.ts'
import type { ProgressOptions } from './byte-progress.ts'
import { addProgressOption } from './byte-progress.ts'
import type { Context } from './context.ts'
import { count, formatBytes, formatTime } from './human.ts'
import { outputOption, say } from './output-option.ts'
import { createBar } from './progress-bar.ts'
import { abortOnStop } from './stop-signals.ts'
import { table } from './table.ts'
import { verifyBundles } from './verify-bundles.ts'
import { withOperations } from './with-operations.ts'

interface Options extends ProgressOptions {
  readonly repair?: true
  readonly rate?: number
  readonly restart?: true
}

export function addVerify(program: Command, context: Context): void {
  const command = program
    .command('verify')
    .description(
      'read what is stored again, or bundles, and compare it with its digests; exit code 1 if something stays wrong, 4 if a bundle is damaged',
    )
    .argument(
      '[image|file...]',
      'only these images, or files of bundles; default: everything that is stored, going on where the last run stopped',
    )
    .option('--repair', 'download what is wrong again now, not with the next pull')
    .option('--rate <size>', 'read at most so much per second, such as 50MiB', readRate)
    .option('--restart', 'begin again although the last run was stopped')
  addProgressOption(command)
    .addOption(outputOption())
    .action(async (references: string[], options: Options) => {
      if (await verifyBundles(references, options, context)) return
      const request = {
        references,
        repair: options.repair === true,
        restart: options.restart === true,
        ...(options.rate !== undefined && { rate: options.rate }),
      }
      await withOperations(context, command, async ({ maintenance }) => {
        const bar = createProgress(context, options)
        const stopped = abortOnStop(context.terminal.signals, 'the next run goes on from here')
        const report = await maintenance
          .verify(request, bar.show, stopped)
          .finally(() => bar.clear())
        say(context, options, report, () => verifyLines(report))
        if (report.findings.some(({ repaired }) => !repaired)) context.exitCode = 1
      })
    })
}

function readRate(text: string): number {
  const reading = readSize(text)
  if ('value' in reading && reading.value > 0) return reading.value
  throw new InvalidArgumentError('Expected a size such as 50MiB.')
}

/** On a terminal only. */
function createProgress({ terminal: { stderr } }: Context, { progress }: ProgressOptions) {
  if (stderr.isTTY !== true || !progress) return { show: () => {}, clear: () => {} }
  const bar = createBar(stderr)
  return {
    show: ({ blobs, bytes, totalBlobs, totalBytes }: VerifyProgress) => {
      const of = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`
      bar.show(
        { done: bytes, total: totalBytes },
        `${blobs} of ${count(totalBlobs, 'blob')}  ${of}`,
      )
    },
    clear: () => bar.clear(),
  }
}

function verifyLines({ findings, blobs, bytes, resumedFrom }: VerifyReport): readonly string[] {
  const rows = findings.map(({ digest, state, repaired, reason = '' }) => [
    state,
    digest,
    repaired ? 'repaired' : reason,
  ])
  const from =
    resumedFrom === undefined ? '' : `, in a run that began at ${formatTime(resumedFrom)}`
  const verdict =
    findings.length === 0
      ? 'all as they should be'
      : `${findings.length === 1 ? '1 was not as it' : `${findings.length} were not as they`} should be`
  return [
    ...table([{ title: '' }, { title: '' }, { title: '' }], rows),
    `verified  ${count(blobs, 'blob')}, ${formatBytes(bytes)}${from}: ${verdict}`,
  ]
}
