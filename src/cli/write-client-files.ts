import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describeFileError } from '../core/describe-file-error.ts'
import type { ClientFile } from './client-setup.ts'
import { MARK } from './client-setup.ts'
import { mergeLists } from './merge-lists.ts'

/** What became of one file. */
export interface WrittenFile {
  readonly path: string
  readonly status: 'created' | 'replaced' | 'merged' | 'unchanged'
  /** What the file was before. */
  readonly backup?: string
  /** Whether somebody else's settings are now in the backup only. */
  readonly isForeign?: boolean
  /** A sentence on what is there besides. */
  readonly remark?: string
}

/** A file could not be read, understood or written. `message` says which, why, and what was done. */
export class WriteError extends Error {
  override readonly name = 'WriteError'
}

interface Plan {
  readonly path: string
  readonly before: string | undefined
  readonly after: string
  readonly isMerge: boolean
  readonly remark?: string | undefined
}

const MODE = 0o644

/**
 * Puts the files below `dir`. What is there is copied to `<file>.bak-<now>` first, and a file that says
 * the same already is left alone. Nothing is written before all that is there has been read and understood;
 * each file is replaced at once or not at all. `now` in ms since the epoch. Throws WriteError.
 */
export async function writeClientFiles(
  dir: string,
  files: readonly ClientFile[],
  now: number,
): Promise<readonly WrittenFile[]> {
  const plans: Plan[] = []
  for (const file of files) plans.push(...(await planFile(join(dir, file.path), file)))
  const suffix = `.bak-${new Date(now).toISOString().replaceAll(/[-:.]/g, '')}`
  const written: WrittenFile[] = []
  for (const plan of plans) {
    const { remark } = plan
    written.push({ ...(await carryOut(plan, suffix)), ...(remark !== undefined && { remark }) })
  }
  return written
}

/** One, or none for a file that is not there and has nothing to hold. */
async function planFile(given: string, file: ClientFile): Promise<readonly Plan[]> {
  try {
    const path = await targetOf(given)
    const before = await readIfThere(path)
    if ('text' in file) return [{ path, before, after: file.text, isMerge: false }]
    const { text: after, others } = mergeLists(before, file.lists)
    if (after === undefined) return []
    return [{ path, before, after, isMerge: true, remark: file.remark?.(others) }]
  } catch (cause) {
    throw new WriteError(
      `${given}: ${describeFileError(cause)}; nothing was written: mend it or move it away`,
      { cause },
    )
  }
}

async function carryOut({ path, before, after, isMerge }: Plan, suffix: string) {
  if (before === after) return { path, status: 'unchanged' } as const
  try {
    if (before === undefined) {
      await replaceFile(path, after, MODE)
      return { path, status: 'created' } as const
    }
    const backup = path + suffix
    await copyFile(path, backup, constants.COPYFILE_EXCL)
    const { mode } = await stat(path)
    await replaceFile(path, after, mode & 0o777)
    if (isMerge) return { path, status: 'merged', backup } as const
    return { path, status: 'replaced', backup, isForeign: !before.startsWith(MARK) } as const
  } catch (cause) {
    throw new WriteError(`cannot write ${path}: ${describeFileError(cause)}`, { cause })
  }
}

/** Where a link leads: what is behind it is replaced, and not the link. */
async function targetOf(path: string): Promise<string> {
  return (await unlessMissing(() => realpath(path))) ?? path
}

async function readIfThere(path: string): Promise<string | undefined> {
  return unlessMissing(() => readFile(path, 'utf8'))
}

async function unlessMissing<T>(task: () => Promise<T>): Promise<T | undefined> {
  try {
    return await task()
  } catch (error) {
    // Absent is an answer here.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** A client that reads it at the same time sees the old text or the new one, never a part. */
async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  await makeDirectory(dirname(path))
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await writeFile(temporary, text, { mode, flag: 'wx', flush: true })
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    throw cause
  }
}

/** Not by Node's `recursive`, which never ends where a directory answers ENOENT to mkdir, as /proc does. */
async function makeDirectory(path: string): Promise<void> {
  if ((await unlessMissing(() => stat(path))) !== undefined) return
  await makeDirectory(dirname(path))
  try {
    await mkdir(path)
  } catch (error) {
    // Somebody else has made it in between.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}
