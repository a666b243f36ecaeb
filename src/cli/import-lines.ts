import type { CargoPlan, CargoReport, ImportReport } from '../airgap/import/import-report.ts'
import type { CommittedImage, TagMove } from '../core/airgap/import-api.ts'
import { count, formatBytes, formatTime, shortDigest } from './human.ts'

/** More of a kind are counted. */
const SHOWN = 20

/** What there is to do, before it is done. */
export function planLines(plan: CargoPlan): readonly string[] {
  const { origin, images, blobs, bytes, missing, missingBytes, required, lacking } = plan
  const id = origin.id === undefined ? '' : `  id ${shortDigest(origin.id)}…`
  const what = `${count(images, 'ref')}, ${count(blobs, 'blob')}, ${formatBytes(bytes)}`
  const here =
    missing === 0
      ? 'all of them here'
      : `${count(missing, 'blob')} to read, ${formatBytes(missingBytes)} to write`
  const base =
    required === 0
      ? ''
      : `; requires ${count(required, 'blob')}: ${lacking === 0 ? 'all present' : `${lacking} not here`}`
  const room = plan.room === undefined ? '' : `; room for ${formatBytes(plan.room)} or more`
  return [
    `bundle     ${origin.name}  ${formatTime(origin.created)}${id}`,
    `plan       ${what}: ${here}${base}${room}`,
    ...some(plan.notes, (note) => `note       ${note}`),
    ...some(
      plan.moves,
      (move) => `${move.kept === undefined ? 'moves ' : 'stays '}     ${moveText(move)}`,
    ),
    ...some(plan.refused, ({ image, reason }) => `refused    ${image}: ${reason}`),
    ...(plan.absentParts.length === 0
      ? []
      : [`parts      not given: ${plan.absentParts.join(', ')}; import them too, in any order`]),
  ]
}

/** What was done. */
export function importLines(
  { dryRun, bundles }: ImportReport,
  receipt?: string,
): readonly string[] {
  if (dryRun) return ['nothing has been imported: leave out --dry-run to do it']
  const lines = bundles.flatMap(bundleLines)
  return receipt === undefined ? lines : [...lines, `receipt    ${receipt}`]
}

function bundleLines(report: CargoReport): readonly string[] {
  const { images, moves, damaged } = report
  const of = (state: CommittedImage['state']) => images.filter((image) => image.state === state)
  const moved = moves.filter(({ kept }) => kept === undefined)
  const shown = moved.slice(0, 3).map(moveText).join(', ')
  const told =
    moved.length === 0 ? '' : ` (${moved.length} moved: ${shown}${moved.length > 3 ? ', …' : ''})`
  const counts = [
    `${of('committed').length} committed${told}`,
    `${of('unchanged').length} unchanged`,
    ...(of('kept').length > 0 ? [`${of('kept').length} kept`] : []),
  ]
  return [
    `verified   ${count(report.blobs, 'blob')}, ${formatBytes(report.bytes)}   refs ${counts.join(', ')}`,
    ...some(of('kept'), ({ image, reason = '' }) => `kept       ${image}: ${reason}`),
    ...some(of('refused'), ({ image, reason = '' }) => `refused    ${image}: ${reason}`),
    ...some(damaged, ({ place, reason }) => `damaged    ${place}: ${reason}`),
    ...some(of('incomplete'), incompleteText),
  ]
}

function incompleteText({ image, missing, reason }: CommittedImage): string {
  if (reason !== undefined) return `incomplete ${image}: ${reason}`
  const named = missing.slice(0, 2).join(', ')
  const more = missing.length > 2 ? ', …' : ''
  return `incomplete ${image}: ${count(missing.length, 'blob')} missing, ${named}${more}`
}

/** What is wrong at the end, and what to do about it; for stderr. */
export function importErrors({ bundles }: ImportReport): readonly string[] {
  return bundles.flatMap(({ base, plan, images, damaged }) => {
    const incomplete = images.filter(({ state }) => state === 'incomplete')
    const missing = new Set(incomplete.flatMap((image) => image.missing))
    const done = images.length - incomplete.length
    const complete = `${count(done, 'complete ref')} ${done === 1 ? 'was' : 'were'} imported.`
    const needed = `${count(missing.size, 'blob')} required by ${count(incomplete.length, 'ref')}`
    const wrong = `${count(damaged.length, 'blob')} of ${plan.origin.name} ${damaged.length === 1 ? 'is' : 'are'} damaged`
    return [
      ...(damaged.length === 0
        ? []
        : [`error: ${wrong}: copy it again from where it was made, and import it again.`]),
      ...(incomplete.length === 0
        ? []
        : [
            `error: ${needed} ${missing.size === 1 ? 'is' : 'are'} not here. ${adviceOf(base, plan, damaged, missing.size)}${complete}`,
          ]),
    ]
  })
}

function adviceOf(
  base: CargoReport['base'],
  { absentParts }: CargoPlan,
  damaged: CargoReport['damaged'],
  missing: number,
): string {
  const them = missing === 1 ? 'It was' : 'They were'
  const inventory = 'with --have INVENTORY (see oci-mirror inventory)'
  if (absentParts.length > 0) {
    const parts = `Parts ${absentParts.join(', ')} of this bundle were not given`
    return `${parts}: import them too; the pieces of one blob have to come together. `
  }
  if (damaged.length > 0) return ''
  if (base.length === 0) return `Export again, ${inventory}. `
  const names = base.map(({ name, id, created, imported }) => {
    const since = imported ? ', imported here before' : ''
    return `bundle ${name}, id ${shortDigest(id)}…, of ${formatTime(created)}${since}`
  })
  const when = base.some(({ imported }) => imported) ? 'again' : 'first'
  return `${them} in ${names.join('; ')}. Import that ${when}, or export again ${inventory}. `
}

function moveText({ image, from, to, kept }: TagMove): string {
  const text = `${image} ${shortDigest(from)} -> ${shortDigest(to)}`
  if (kept === undefined) return text
  return `${text}: ${kept === 'held' ? 'it is held here' : 'the one here is newer (--overwrite)'}`
}

function some<T>(items: readonly T[], line: (item: T) => string): readonly string[] {
  const lines = items.slice(0, SHOWN).map(line)
  const more = items.length - lines.length
  return more === 0 ? lines : [...lines, `           … and ${more} more (--output json has all)`]
}
