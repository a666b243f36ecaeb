import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { readSize } from '../config/size.ts'
import type { VerifyProgress, VerifyReport } from '../core/maintenance/reports.ts'
import { StartError } from '../core/start-error.ts'
import type { Context } from './context.ts'
import { count, formatBytes, formatTime } from './human.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { waitForStop } from './stop-signals.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions {
  readonly repair?: true
  readonly rate?: number
  readonly restart?: true
}

const BAR_WIDTH = 30

export function addVerify(program: Command, context: Context): void {
  program
    .command('verify')
    .description(
      'read what is stored again and compare it with its digests; exit code 1 if something stays wrong',
    )
    .argument('[image...]', 'only these; default: everything, going on where the last run stopped')
    .option('--repair', 'download what is wrong again now, not with the next pull')
    .option('--rate <size>', 'read at most so much per second, such as 50MiB', readRate)
    .option('--restart', 'begin again although the last run was stopped')
    .addOption(outputOption())
    .action(async (references: string[], options: Options, command: Command) => {
      const request = {
        references,
        repair: options.repair === true,
        restart: options.restart === true,
        ...(options.rate !== undefined && { rate: options.rate }),
      }
      await withOperations(context, command, async ({ maintenance }) => {
        const bar = createBar(context)
        const stopped = stopSignal(context)
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

/** The first signal ends it in good order, so that the next run goes on there. */
function stopSignal({ terminal: { signals } }: Context): AbortSignal {
  const stopped = new AbortController()
  void waitForStop(signals).then((signal) =>
    stopped.abort(new StartError(`stopped by ${signal}: the next run goes on from here`)),
  )
  return stopped.signal
}

/** One line that is written over, on a terminal only. */
function createBar({ terminal: { stderr } }: Context) {
  if (stderr.isTTY !== true) return { show: () => {}, clear: () => {} }
  return {
    show: ({ blobs, bytes, totalBlobs, totalBytes }: VerifyProgress) => {
      const done = totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes)
      const bar = '█'.repeat(Math.round(done * BAR_WIDTH)).padEnd(BAR_WIDTH, '░')
      const text = `${bar} ${Math.floor(done * 100)} %  ${blobs}/${totalBlobs} blobs  ${formatBytes(bytes)} of ${formatBytes(totalBytes)}`
      stderr.write(`\r${text}\u001B[K`)
    },
    clear: () => stderr.write('\r\u001B[K'),
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
