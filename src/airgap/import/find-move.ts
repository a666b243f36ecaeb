import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { BundleOrigin, TagMove } from '../../core/airgap/import-api.ts'
import type { Catalog } from '../../core/ports.ts'
import type { Destination } from './destination.ts'

interface Rules {
  readonly origin: BundleOrigin
  readonly overwrite: boolean
}

/** When its upstream said so last, as far as that is known: the bundle cannot be younger than that. */
export function checkedAtOf({ checkedAt }: CarriedImage, { origin }: Rules): number {
  return checkedAt ?? origin.created
}

/** `undefined`: the tag is not here, or points there already. */
export async function findMove(
  carried: CarriedImage,
  { repository, tag, image }: Destination,
  rules: Rules,
  catalog: Pick<Catalog, 'resolve'>,
): Promise<TagMove | undefined> {
  const row = tag && (await catalog.resolve(repository, tag))
  const { digest } = carried.manifest
  if (row === undefined || row.manifest.digest === digest) return undefined
  const move = { image, from: row.manifest.digest, to: digest }
  if (row.isHeld === true) return { ...move, kept: 'held' }
  const isNewer = row.checkedAt > checkedAtOf(carried, rules)
  return isNewer && !rules.overwrite ? { ...move, kept: 'newer' } : move
}
