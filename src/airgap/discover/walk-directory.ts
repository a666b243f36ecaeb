import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

const READ = /\.(?:ya?ml|json|txt|lock)$/i
const SKIPPED = new Set(['node_modules', '.git'])
const MAX_DEPTH = 32
/** Files to read, and entries of any kind: a link to the root of the machine leads to all there is. */
const LIMITS = { files: 50_000, entries: 200_000 }

/** A file to read, a sentence on what was left out, or what went wrong. */
export type Walked =
  | { readonly kind: 'file'; readonly path: string; readonly shownAs: string }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'failure'; readonly shownAs: string; readonly error: unknown }

/**
 * The files below a directory that may name images, by name, through links, and each once. The templates of
 * a chart are left out: they are no YAML before they are rendered.
 */
export async function* walkDirectory(
  path: string,
  shownAs: string,
  limits = LIMITS,
): AsyncGenerator<Walked> {
  const progress = { seen: new Set<string>(), entries: 0, limits }
  const root = await attempt(() => stat(path))
  if ('value' in root) progress.seen.add(identityOf(root.value))
  let files = 0
  try {
    for await (const walked of walk(path, shownAs, 0, progress)) {
      files += 1
      if (files > limits.files) throw new TooMany(limits.files, 'to read')
      yield walked
    }
  } catch (error) {
    if (!(error instanceof TooMany)) throw error
    yield { kind: 'failure', shownAs, error }
  }
}

class TooMany extends Error {
  constructor(limit: number, what: string) {
    const count = limit.toLocaleString('en-US')
    super(`it has more than ${count} files ${what}, with its links: name directories below it`)
  }
}

interface Progress {
  readonly limits: typeof LIMITS
  readonly seen: Set<string>
  entries: number
}

async function* walk(
  path: string,
  shownAs: string,
  depth: number,
  progress: Progress,
): AsyncGenerator<Walked> {
  if (depth > MAX_DEPTH) {
    const error = new Error(`it is more than ${MAX_DEPTH} directories deep`)
    yield { kind: 'failure', shownAs, error }
    return
  }
  const listed = await attempt(() => readdir(path))
  if ('error' in listed) {
    yield { kind: 'failure', shownAs, error: listed.error }
    return
  }
  const names = listed.value.toSorted()
  const isChart = names.includes('Chart.yaml') && names.includes('templates')
  if (isChart) yield { kind: 'note', text: unrendered(shownAs) }
  for (const name of names) {
    if (SKIPPED.has(name) || (isChart && name === 'templates')) continue
    yield* visit(join(path, name), join(shownAs, name), depth, progress)
  }
}

async function* visit(
  path: string,
  shownAs: string,
  depth: number,
  progress: Progress,
): AsyncGenerator<Walked> {
  progress.entries += 1
  const { entries } = progress.limits
  if (progress.entries > entries) throw new TooMany(entries, 'of any kind')
  const found = await attempt(() => stat(path))
  if ('error' in found) {
    // Of a link that leads nowhere only those matter that would have been read.
    if (READ.test(path)) yield { kind: 'failure', shownAs, error: found.error }
    return
  }
  const isDirectory = found.value.isDirectory()
  if (!isDirectory && !(found.value.isFile() && READ.test(path))) return
  // By what it is and not by its name, so that links that lead in a circle end.
  const identity = identityOf(found.value)
  if (progress.seen.has(identity)) return
  progress.seen.add(identity)
  if (isDirectory) yield* walk(path, shownAs, depth + 1, progress)
  else yield { kind: 'file', path, shownAs }
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`
}

function unrendered(chart: string): string {
  return `${chart} is a chart, whose templates were not read: \`helm template ${chart} | oci-mirror images -\` reads them`
}

async function attempt<T>(
  task: () => Promise<T>,
): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await task() }
  } catch (error) {
    // The one that asked goes on with the next file.
    return { error }
  }
}
