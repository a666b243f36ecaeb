import { resolve } from 'node:path'
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import type { ImageLists } from '../airgap/discover/image-lists.ts'
import { formatProblem } from '../airgap/discover/image-lists.ts'
import { isThere } from '../airgap/discover/is-there.ts'
import { readCluster } from '../airgap/discover/kubectl.ts'
import type { ImageInput } from '../airgap/discover/read-image-lists.ts'
import { readImageLists } from '../airgap/discover/read-image-lists.ts'
import { readDuration } from '../config/duration.ts'
import type { ListedReference } from '../core/airgap/warm-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import type { Context } from './context.ts'
import type { Terminal } from './terminal.ts'

export interface ImageInputOptions {
  readonly file?: readonly string[]
  readonly maybe?: true
  readonly fromCluster?: true
  readonly context?: string
  readonly namespace?: string
  /** ms */
  readonly fromLog?: number
}

/** What was asked for: by name on the command line, and by what the inputs say. */
export interface ImageInputs {
  /** As they were written: names as the mirror has them, or globs. */
  readonly references: readonly string[]
  readonly lists: ImageLists
  /** Both, with what may be an image if that was asked for. */
  readonly images: readonly ListedReference[]
}

/** What the mirror has served since then (ms since the epoch). */
export type Served = (since: number) => Promise<readonly string[]>

/** What is written so is meant as a file, although a reference may look like it. */
const FILE_NAME = /^(?:\.{0,2}\/|~)|\/$|\.(?:ya?ml|json|txt|lock)$/i

/** Gives a command `[input...]`, and the options that name inputs in other ways. */
export function addImageInputs(command: Command): Command {
  return command
    .argument('[input...]', 'files, directories, - for standard input, or references')
    .addOption(listFileOption())
    .option('--maybe', 'include what only looks like an image')
    .option('--from-cluster', 'what a cluster runs and its nodes hold, by your kubectl')
    .option('--context <name>', "with --from-cluster: another context of kubectl's configuration")
    .option('-n, --namespace <name>', 'with --from-cluster: only the pods of this namespace')
    .option(
      '--from-log <span>',
      'what the mirror has served within the last 30d, for example',
      readSpan,
    )
}

/** `-f FILE`, as often as needed. */
export function listFileOption(): Option {
  return new Option(
    '-f, --file <file>',
    'read images from this file, directory or - (repeatable)',
  ).argParser((file: string, files: readonly string[] | undefined) => [...(files ?? []), file])
}

function readSpan(text: string): number {
  const reading = readDuration(text)
  if ('value' in reading) return reading.value
  throw new InvalidArgumentError(`Expected ${reading.expected}.`)
}

/**
 * Reads what the arguments and options name. An argument that is a file or a directory is an input, and a
 * reference otherwise. Throws MaintenanceError for one that is neither, and for a cluster that cannot be
 * asked; what is wrong within an input is in `lists.problems`.
 */
export async function readImageInputs(
  context: Context,
  args: readonly string[],
  options: ImageInputOptions,
  served: Served,
): Promise<ImageInputs> {
  const { inputs, references } = await findInputs(context, args, options, served)
  const lists = await readImageLists(inputs, context.terminal)
  const unsure = options.maybe === true ? lists.maybe.filter(({ isName }) => isName) : []
  const listed = [...lists.images, ...unsure].map(({ reference, from }) => ({ reference, from }))
  return {
    references,
    lists,
    images: [...references.map((reference) => ({ reference })), ...listed],
  }
}

/** As `readImageInputs`, before anything is read. */
export async function findInputs(
  { terminal }: Context,
  args: readonly string[],
  options: ImageInputOptions,
  served: Served,
): Promise<{ readonly inputs: readonly ImageInput[]; readonly references: readonly string[] }> {
  const { file = [], fromCluster, fromLog } = options
  if ([...args, ...file].filter((name) => name === '-').length > 1) {
    throw new MaintenanceError('invalid', 'standard input (-) can be read once: name it once')
  }
  if (fromCluster !== true && (options.context ?? options.namespace) !== undefined) {
    throw new MaintenanceError('invalid', '--context and --namespace go with --from-cluster')
  }
  const inputs: ImageInput[] = []
  const references: string[] = []
  for (const argument of args) {
    if (await isInput(argument, terminal)) inputs.push(inputOf(argument, terminal))
    else references.push(argument)
  }
  inputs.push(...file.map((name) => inputOf(name, terminal)))
  if (fromCluster === true) inputs.push(...(await readCluster({ ...options, env: terminal.env })))
  if (fromLog !== undefined) {
    inputs.push(...asInputs(await served(Date.now() - fromLog), 'served by the mirror'))
  }
  return { inputs, references }
}

export function asInputs(references: readonly string[], from: string): readonly ImageInput[] {
  return references.map((reference) => ({ kind: 'reference', reference, from }))
}

async function isInput(argument: string, { cwd }: Terminal): Promise<boolean> {
  if (argument === '-' || /^https?:\/\//i.test(argument) || (await isThere(resolve(cwd, argument))))
    return true
  if (!FILE_NAME.test(argument)) return false
  throw new MaintenanceError(
    'invalid',
    `there is no file or directory ${argument}, and it is no reference to an image`,
  )
}

function inputOf(name: string, { cwd, stdin }: Terminal): ImageInput {
  if (/^https?:\/\//i.test(name)) {
    const message = `${name} is a URL, and nothing is fetched here: \`curl -fsSL ${name} |\` this command, with - as its input`
    throw new MaintenanceError('invalid', message)
  }
  if (name !== '-') return { kind: 'path', path: resolve(cwd, name), shownAs: name }
  if (stdin === undefined || stdin.isTTY === true) {
    const message =
      '- is standard input, and that is a terminal: pipe something into it, or name a file'
    throw new MaintenanceError('invalid', message)
  }
  return { kind: 'stream', name: 'standard input', chunks: stdin }
}

/** What is wrong with the inputs, and what was left out of them, on stderr. */
export function sayProblems(
  { terminal: { stderr } }: Context,
  { notes, problems }: Pick<ImageLists, 'notes' | 'problems'>,
): void {
  for (const note of notes) stderr.write(`note: ${note}\n`)
  for (const problem of problems) stderr.write(`error: ${formatProblem(problem)}\n`)
}
