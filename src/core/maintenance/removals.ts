import type { Tag } from '../../oci/reference.ts'
import type { Clock } from '../ports.ts'
import { formatImage } from './image-name.ts'
import type { HeldBlob, Inventory } from './inventory.ts'
import { MaintenanceError } from './maintenance-error.ts'
import type { MirrorControl } from './mirror-control.ts'
import type { Amount, RemovalReport } from './reports.ts'
import type { SelectedImage } from './select-images.ts'

interface Deps {
  readonly inventory: Inventory
  readonly control: MirrorControl
  readonly clock: Clock
}

/**
 * Takes images out of their repositories, and then the bytes that nothing names any more. What the plan
 * (`dryRun`) says is what the same statements would do. Throws MaintenanceError before anything is done.
 */
export async function removeImages(
  images: readonly SelectedImage[],
  dryRun: boolean,
  deps: Deps,
): Promise<RemovalReport> {
  for (const image of images) await refuseIfKept(image, deps)
  const freed = new Map<string, HeldBlob>()
  const kept = new Map<string, HeldBlob>()
  const removed: RemovalReport['images'][number][] = []
  for (const { image, repository, tag, digest } of images) {
    const target = tag === undefined ? { digest } : { tag }
    const result = await deps.inventory.remove(repository, target, deps.clock.now(), dryRun)
    for (const blob of result.freed) freed.set(blob.digest, blob)
    for (const blob of result.kept) kept.set(blob.digest, blob)
    removed.push({ image, tags: result.tags, manifests: result.manifests.length })
    if (dryRun) continue
    for (const name of result.tags) deps.control.forgetTag(repository, name)
    for (const manifest of result.manifests) deps.control.forgetManifest(repository, manifest)
    for (const blob of result.freed) await deps.control.evict(blob.digest, 'named')
  }
  for (const digest of freed.keys()) kept.delete(digest)
  return { dryRun, images: removed, freed: amountOf(freed), kept: amountOf(kept) }
}

async function refuseIfKept(image: SelectedImage, { inventory }: Deps): Promise<void> {
  const { repository, tag, digest } = image
  if (await inventory.isPinned(repository, digest)) {
    throw new MaintenanceError('refused', `${image.image} is pinned: \`unpin\` it first`)
  }
  const plan = await inventory.remove(repository, tag === undefined ? { digest } : { tag }, 0, true)
  if (tag === undefined && plan.manifests.length === 0) {
    throw new MaintenanceError(
      'refused',
      `${image.image} is a part of an index that is here: remove that one`,
    )
  }
  for (const held of plan.tags) await refuseIfHeld(image, held, inventory)
}

async function refuseIfHeld(image: SelectedImage, tag: Tag, inventory: Inventory): Promise<void> {
  if (await inventory.isHeld(image.repository, tag)) {
    const name = formatImage({ repository: image.repository, tag })
    throw new MaintenanceError('refused', `${name} is held: \`release\` it first`)
  }
}

function amountOf(blobs: ReadonlyMap<string, HeldBlob>): Amount {
  let bytes = 0
  for (const { size } of blobs.values()) bytes += size
  return { blobs: blobs.size, bytes }
}
