import type { Command } from 'commander'
import { fullName } from '../airgap/discover/full-name.ts'
import type { FoundImage, ImageLists, MaybeImage } from '../airgap/discover/image-lists.ts'
import { formatPlace } from '../airgap/discover/image-lists.ts'
import { readImageLists } from '../airgap/discover/read-image-lists.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import type { Context } from './context.ts'
import { count } from './human.ts'
import type { ImageInputOptions } from './image-inputs.ts'
import { addImageInputs, asInputs, findInputs, sayProblems } from './image-inputs.ts'
import type { OutputOptions } from './output-option.ts'
import { outputOption, say } from './output-option.ts'
import { table } from './table.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions, ImageInputOptions {
  readonly why?: string
}

/** Lines of what is unsure, before the rest is only counted. */
const MAX_MAYBE = 20

export function addImages(program: Command, context: Context): void {
  const command = program
    .command('images')
    .description(
      'list the images that lists, compose files, manifests or a cluster name, without asking a registry; exit code 1 if something could not be read',
    )
  addImageInputs(command)
    .option('--why <reference>', 'say where this image is named, instead')
    .addOption(outputOption())
    .action(async (args: string[], options: Options, command: Command) => {
      const sources = sourcesOf(args, options, context, command)
      const served = (since: number) =>
        withOperations(context, command, ({ check }) => check.served(since))
      const { inputs, references } = await findInputs(context, sources, options, served)
      const named = asInputs(references, 'the command line')
      const lists = await readImageLists([...named, ...inputs], context.terminal)
      if (options.why === undefined) showAll(context, options, lists)
      sayProblems(context, lists)
      if (lists.problems.length > 0) context.exitCode = 1
      // After them, because what could not be read may be what names it.
      if (options.why !== undefined) explain(context, options, lists, options.why)
    })
}

/** Without any, what is piped in. */
function sourcesOf(
  args: readonly string[],
  { file, fromCluster, fromLog }: Options,
  { terminal: { stdin } }: Context,
  command: Command,
): readonly string[] {
  const isGiven = args.length > 0 || file !== undefined
  if (isGiven || fromCluster === true || fromLog !== undefined) return args
  if (stdin !== undefined && stdin.isTTY !== true) return ['-']
  return command.error('error: name files or directories that name images, or pipe a list in')
}

/** The names go to stdout, a line each, which is a list again; the rest is for people. */
function showAll(context: Context, options: Options, lists: ImageLists): void {
  const { images, maybe } = lists
  if (options.output === 'json') return say(context, options, lists, () => [])
  const unsure = options.maybe === true ? maybe.filter(({ isName }) => isName) : []
  const names = [...images, ...unsure].map(({ reference }) => `${reference}\n`).toSorted()
  context.terminal.stdout.write(names.join(''))
  const left = maybe.filter((image) => !unsure.includes(image))
  context.terminal.stderr.write(`${summaryLines(images, left).join('\n')}\n`)
}

function summaryLines(
  images: readonly FoundImage[],
  maybe: readonly MaybeImage[],
): readonly string[] {
  const rows = maybe
    .slice(0, MAX_MAYBE)
    .map(({ reference, from, reason }) => ['maybe', reference, from, reason])
  const isMore = maybe.length > MAX_MAYBE
  const more = isMore ? [`maybe  and ${maybe.length - MAX_MAYBE} more: --output json has all`] : []
  const hint = maybe.length === 0 ? '' : ' (--maybe includes them, --why IMAGE says where they are)'
  return [
    ...table([{ title: '' }, { title: '' }, { title: '' }, { title: '' }], rows),
    ...more,
    `${count(images.length, 'image')}, ${maybe.length} maybe${hint}`,
  ]
}

/** Throws MaintenanceError if nothing names it. */
function explain(context: Context, options: Options, lists: ImageLists, why: string): void {
  const all = [...lists.images, ...lists.maybe]
  const name = fullName(why)
  const isBare = name !== undefined && name.endsWith(':latest') && !why.endsWith(':latest')
  const repository = isBare ? name.slice(0, -':latest'.length) : undefined
  const found = all.filter(
    ({ reference }) =>
      reference === name ||
      reference === why ||
      (repository !== undefined &&
        /^[:@]/.test(reference.slice(repository.length)) &&
        reference.startsWith(repository)),
  )
  if (found.length === 0) {
    throw new MaintenanceError('unknown', `no input names ${name ?? why}`)
  }
  say(context, options, found, () => found.flatMap(whyLines))
}

function whyLines({ reference, occurrences }: FoundImage): readonly string[] {
  const rows = occurrences.map((occurrence) => [
    '',
    formatPlace(occurrence),
    occurrence.path ?? '',
    occurrence.doubt === undefined ? '' : `maybe: ${occurrence.doubt}`,
  ])
  const columns = [{ title: '' }, { title: '' }, { title: '' }, { title: '' }]
  return [reference, ...table(columns, rows)]
}
