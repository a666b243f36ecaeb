import type { Command } from 'commander'
import { formatProblem } from '../airgap/discover/image-lists.ts'
import type { UnlistedReport } from '../core/airgap/check-api.ts'
import type { MaintenanceApi } from '../core/maintenance/maintenance-api.ts'
import { MaintenanceError } from '../core/maintenance/maintenance-error.ts'
import type { ConfirmOptions } from './confirm.ts'
import { confirm } from './confirm.ts'
import type { Context } from './context.ts'
import { count, formatBytes } from './human.ts'
import { readImageInputs, sayProblems } from './image-inputs.ts'
import type { OutputOptions } from './output-option.ts'
import { say } from './output-option.ts'
import { withOperations } from './with-operations.ts'

interface Options extends OutputOptions, ConfirmOptions {
  readonly dryRun?: true
  readonly file?: readonly string[]
}

/** As many as the mirror takes at a time. */
const AT_ONCE = 1_000
/** Of the list, that are not here. */
const SHOWN = 10

/** Removes what was in the plan, and nothing that came after it. */
export async function removeUnlisted(
  context: Context,
  command: Command,
  options: Options,
): Promise<void> {
  const wanted = await readWanted(context, options)
  await withOperations(context, command, async ({ check, maintenance }) => {
    const plan = await check.unlisted(wanted)
    const report = { dryRun: true, ...plan }
    if (options.dryRun === true || plan.images.length === 0) {
      say(context, options, report, () => planLines(plan))
      return
    }
    if (!(await confirm(context, command, options, planLines(plan)))) return
    const freed = await removeAll(plan.images, maintenance)
    const done = { ...report, dryRun: false, freed }
    say(context, options, done, () => [
      `removed  ${count(plan.images.length, 'image')}`,
      `freed    ${formatBytes(freed.bytes)}, ${count(freed.blobs, 'blob')}`,
    ])
  })
}

/**
 * Half a list is worse than none: whatever is wrong with it, nothing is removed. What may be an image stays, too.
 * Throws MaintenanceError.
 */
async function readWanted(context: Context, options: Options): Promise<readonly string[]> {
  const inputs = { ...options, maybe: true } as const
  const { images, lists } = await readImageInputs(context, [], inputs, async () => [])
  const unknown = lists.maybe.filter(({ isName }) => !isName)
  const problems = [
    ...lists.problems.map(formatProblem),
    ...unknown.map(({ from, reference, reason }) => `${from}: ${reference}: ${reason}`),
  ]
  const [first, ...others] = problems
  if (first !== undefined) {
    const more = others.length === 0 ? '' : `, and ${others.length} more (see \`images\`)`
    throw new MaintenanceError('invalid', `nothing is removed by half a list: ${first}${more}`)
  }
  sayProblems(context, lists)
  return images.map(({ reference }) => reference)
}

async function removeAll(
  images: readonly string[],
  maintenance: Pick<MaintenanceApi, 'remove'>,
): Promise<{ readonly blobs: number; readonly bytes: number }> {
  const freed = { blobs: 0, bytes: 0 }
  for (let start = 0; start < images.length; start += AT_ONCE) {
    const references = images.slice(start, start + AT_ONCE)
    const report = await maintenance.remove({ references, all: false, dryRun: false })
    freed.blobs += report.freed.blobs
    freed.bytes += report.freed.bytes
  }
  return freed
}

function planLines({ images, spared, listed, absent, freed, kept }: UnlistedReport): string[] {
  const shown = absent.slice(0, SHOWN).join(', ')
  const more = absent.length > SHOWN ? ', …' : ''
  return [
    ...images.map((image) => `would remove  ${image}`),
    ...spared.map(({ image, reason }) => `stays         ${image}  (${reason})`),
    `listed        ${count(listed, 'image')} of the list ${listed === 1 ? 'is' : 'are'} here`,
    ...(absent.length === 0 ? [] : [`not here      ${shown}${more}`]),
    ...(images.length === 0 ? ['Nothing else is here: there is nothing to remove.'] : []),
    `would free    ${formatBytes(freed.bytes)}, ${count(freed.blobs, 'blob')}`,
    ...(kept.blobs === 0
      ? []
      : [`${count(kept.blobs, 'blob')}, ${formatBytes(kept.bytes)}, stay for other images`]),
  ]
}
