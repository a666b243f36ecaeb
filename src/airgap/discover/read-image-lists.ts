import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { describeFileError } from '../../core/describe-file-error.ts'
import { Findings } from './findings.ts'
import type { ImageLists } from './image-lists.ts'
import type { Variables } from './interpolate.ts'
import { readSource } from './read-source.ts'
import { walkDirectory } from './walk-directory.ts'

/** A file or a directory, a stream such as stdin, or a reference from the command line. */
export type ImageInput =
  | { readonly kind: 'path'; readonly path: string; readonly shownAs: string }
  | { readonly kind: 'stream'; readonly name: string; readonly chunks: AsyncIterable<Uint8Array> }
  | { readonly kind: 'reference'; readonly reference: string; readonly from: string }

export interface ReadOptions {
  /** For compose files, whose own `.env` comes after it. */
  readonly env: Variables
}

const MAX_ENV_FILE = 1024 * 1024

/**
 * What the inputs name, one after the other. Whatever is wrong with one of them is a problem in the result,
 * and the rest is read.
 */
export async function readImageLists(
  inputs: readonly ImageInput[],
  { env }: ReadOptions,
  signal?: AbortSignal,
): Promise<ImageLists> {
  const findings = new Findings()
  for (const input of inputs) {
    signal?.throwIfAborted()
    if (input.kind === 'reference') findings.listed(input.reference, { file: input.from })
    else if (input.kind === 'path') await readPath(input.path, input.shownAs, env, findings, signal)
    else await readStream(input.name, input.chunks, env, findings)
  }
  return findings.lists()
}

async function readPath(
  path: string,
  shownAs: string,
  env: Variables,
  findings: Findings,
  signal?: AbortSignal,
): Promise<void> {
  let isDirectory: boolean
  try {
    isDirectory = (await stat(path)).isDirectory()
  } catch (error) {
    findings.problem({ file: shownAs }, describeFileError(error))
    return
  }
  if (!isDirectory) return readFileAt(path, shownAs, true, env, findings)
  for await (const walked of walkDirectory(path, shownAs)) {
    signal?.throwIfAborted()
    if (walked.kind === 'note') findings.note(walked.text)
    else if (walked.kind === 'file') {
      await readFileAt(walked.path, walked.shownAs, false, env, findings)
    } else findings.problem({ file: walked.shownAs }, describeFileError(walked.error))
  }
}

async function readFileAt(
  path: string,
  file: string,
  isNamed: boolean,
  env: Variables,
  findings: Findings,
): Promise<void> {
  const source = { file, isNamed, variables: env }
  const chunks = createReadStream(path)
  try {
    await readSource(source, chunks, findings, async () => ({
      ...(await readEnvFile(join(dirname(path), '.env'))),
      ...env,
    }))
  } catch (error) {
    // Only what the system says of a file has a code; anything else is a defect.
    if (!(error instanceof Error && 'code' in error)) throw error
    findings.problem({ file }, describeFileError(error))
  } finally {
    chunks.destroy()
  }
}

async function readStream(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
  env: Variables,
  findings: Findings,
): Promise<void> {
  const source = { file: name, isNamed: true, variables: env }
  await readSource(source, chunks, findings, async () => env)
}

/** What compose reads for its variables, from beside the file. */
async function readEnvFile(path: string): Promise<Variables> {
  try {
    const found = await stat(path)
    // Nobody may ever write into a pipe.
    if (!found.isFile() || found.size > MAX_ENV_FILE) return {}
    return parseEnv(await readFile(path, 'utf8'))
  } catch {
    // There is none, or none that is for us: then its variables have no value, which is said where one is used.
    return {}
  }
}
