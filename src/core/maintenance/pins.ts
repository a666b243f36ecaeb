import type { Clock } from '../ports.ts'
import type { Durability } from './durability.ts'
import type { Inventory } from './inventory.ts'
import { MaintenanceError } from './maintenance-error.ts'
import type { PinReport } from './reports.ts'
import type { SelectedImage } from './select-images.ts'

interface Deps {
  readonly inventory: Inventory
  readonly durability: Durability
  readonly clock: Clock
}

/**
 * From now on nothing of these images is evicted, what lands later of them included. When it resolves, what
 * is here of them survives a loss of power. Throws MaintenanceError.
 */
export function pinImages(images: readonly SelectedImage[], deps: Deps): Promise<PinReport> {
  const { inventory, durability, clock } = deps
  return each(images, deps, async ({ image, repository, digest }) => {
    const changed = await inventory.pin(repository, digest, clock.now())
    let unsynced = 0
    for (const named of await inventory.closure(repository, digest)) {
      if ((await inventory.blob(named)) === undefined || (await durability.sync(named))) continue
      if ((await inventory.blob(named)) !== undefined) unsynced += 1
    }
    if (unsynced > 0) {
      const what = `${image} is pinned, but ${unsynced} of its blobs could not be brought to disk`
      throw new MaintenanceError('refused', `${what}: see the log, and pin it again`)
    }
    return changed
  })
}

export function unpinImages(images: readonly SelectedImage[], deps: Deps): Promise<PinReport> {
  const { inventory } = deps
  return each(images, deps, ({ repository, digest }) => inventory.unpin(repository, digest))
}

async function each(
  images: readonly SelectedImage[],
  { inventory, durability }: Deps,
  change: (image: SelectedImage) => Promise<boolean>,
): Promise<PinReport> {
  const done: PinReport['images'][number][] = []
  for (const selected of images) {
    const { image, repository, digest } = selected
    const changed = await change(selected)
    const { blobs, storedBlobs } = await inventory.image(repository, selected)
    done.push({ image, digest, changed, missingBlobs: blobs - storedBlobs })
  }
  await durability.backup()
  return { images: done }
}
