import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { LAYOUT_ENTRY } from '../airgap/bundle/entry-name.ts'
import type { FoundBundles } from '../airgap/bundle/find-bundles.ts'
import { findBundles } from '../airgap/bundle/find-bundles.ts'
import type { BundleCheck } from '../airgap/bundle/verify-bundle.ts'
import { verifyBundle } from '../airgap/bundle/verify-bundle.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import { createByteProgress } from './byte-progress.ts'
import type { ProgressOptions } from './byte-progress.ts'
import type { Context } from './context.ts'
import { count, formatBytes, formatTime } from './human.ts'
import { say } from './output-option.ts'
import { abortOnStop } from './stop-signals.ts'

interface BundlesReport {
  readonly files: readonly BundleCheck[]
  /** Parts that a list names and that are not beside it. */
  readonly missing: readonly string[]
}

/** What only a file is called. */
const FILE_NAME = /^\.{0,2}\/|\.(?:tar|json)$/

/**
 * Whether these are bundles: then they are verified, without a mirror or a configuration. Throws
 * MaintenanceError where only some of them are.
 */
export async function verifyBundles(
  names: readonly string[],
  options: ProgressOptions,
  context: Context,
): Promise<boolean> {
  const { cwd, signals } = context.terminal
  const found = await Promise.all(names.map((name) => findBundles(resolve(cwd, name))))
  const bundles = found.filter((one) => one !== undefined)
  const nameless = names.filter((_, at) => found[at] === undefined)
  for (const name of nameless) {
    if (await isLayout(resolve(cwd, name))) {
      throw new MaintenanceError(
        'invalid',
        `${name} is an OCI image layout, and no bundle with a list of its own: \`import\` reads it, and verifies what it takes (\`--dry-run\` shows that)`,
      )
    }
    if (bundles.length > 0 || FILE_NAME.test(name)) {
      throw new MaintenanceError(
        'invalid',
        `${name} is no file of a bundle, and no directory with one`,
      )
    }
  }
  if (bundles.length === 0) return false
  const signal = abortOnStop(signals, 'nothing was changed')
  const report = await check(bundles, options, context, signal)
  say(context, options, report, () => reportLines(report))
  context.exitCode = exitCodeOf(report)
  return true
}

/** A directory that another tool wrote, or that somebody has unpacked. */
async function isLayout(path: string): Promise<boolean> {
  const found = await stat(join(path, LAYOUT_ENTRY)).catch(() => undefined)
  return found?.isFile() === true
}

async function check(
  bundles: readonly FoundBundles[],
  options: ProgressOptions,
  context: Context,
  signal: AbortSignal,
): Promise<BundlesReport> {
  const progress = createByteProgress('verified', context, options)
  const tars = bundles.flatMap(({ tars }) => tars)
  const sizes = await Promise.all(tars.map((tar) => stat(tar)))
  const total = sizes.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  const onBytes = (bytes: number) => {
    done += bytes
    progress.show({ done, total })
  }
  const files: BundleCheck[] = []
  try {
    for (const { tars, header } of bundles) {
      for (const tar of tars) {
        const found = await verifyBundle(tar, onBytes, signal)
        const isOther =
          header !== undefined && found.bundle !== undefined && found.bundle.id !== header.id
        files.push(isOther ? asOther(found) : found)
      }
    }
  } finally {
    progress.clear()
  }
  return { files, missing: bundles.flatMap(({ missing }) => missing) }
}

function asOther(found: BundleCheck): BundleCheck {
  const problem = 'it is of another bundle than the list beside it'
  return { ...found, state: 'incomplete', problems: [...found.problems, problem] }
}

function exitCodeOf({ files, missing }: BundlesReport): 0 | 1 | 4 {
  if (files.some(({ state }) => state === 'damaged')) return 4
  return missing.length > 0 || files.some(({ state }) => state !== 'right') ? 1 : 0
}

function reportLines({ files, missing }: BundlesReport): readonly string[] {
  return [
    ...files.flatMap(fileLines),
    ...missing.map((file) => `${basename(file)}  missing`),
    ...partsLines(files),
  ]
}

function fileLines({
  file,
  state,
  bundle,
  blobs,
  bytes,
  problems,
}: BundleCheck): readonly string[] {
  const of = bundle?.parts === undefined ? '' : `, part ${bundle.part} of ${bundle.parts}`
  const needs =
    bundle === undefined || bundle.requires === 0
      ? ''
      : `, requires ${count(bundle.requires, 'blob')} that it does not hold`
  const made = bundle && `, ${count(bundle.images, 'image')}, made ${formatTime(bundle.created)}`
  const right = `${count(blobs, 'blob')}, ${formatBytes(bytes)} as they should be`
  return [
    `${basename(file)}  ${state}: ${right}${of}${made ?? ''}${needs}`,
    ...problems.map((problem) => `  ${problem}`),
  ]
}

/** Each part is right by itself; whoever imports needs all of them. */
function partsLines(files: readonly BundleCheck[]): readonly string[] {
  const bundles = Map.groupBy(
    files.flatMap(({ bundle }) => bundle ?? []),
    ({ id }) => id,
  )
  return [...bundles].flatMap(([id, seen]) => {
    const there = new Set(seen.map(({ part }) => part))
    const parts = seen[0]?.parts ?? 0
    const others = Array.from({ length: parts }, (_, at) => at + 1).filter((n) => !there.has(n))
    if (others.length === 0) return []
    const which = others.length === 1 ? `part ${others[0]} was` : `parts ${others.join(', ')} were`
    return [`of ${id}, ${which} not looked at`]
  })
}
