import type { InventoryReport } from '../../core/airgap/check-api.ts'
import { nameHeld } from '../../core/maintenance/image-name.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import type { Clock } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'
import { heldImages } from './held-images.ts'

/** Rows of one query: some milliseconds. */
const PAGE = 1_000

interface Deps {
  readonly inventory: Inventory
  readonly clock: Clock
}

/** Everything that is stored, and the images whose manifests are. */
export async function takeInventory({ inventory, clock }: Deps): Promise<InventoryReport> {
  const created = clock.now()
  const blobs = new Set<Digest>()
  for (let after: Digest | undefined, isLast = false; !isLast;) {
    const page = await inventory.blobs(after ?? '', PAGE)
    for (const { digest } of page) blobs.add(digest)
    after = page.at(-1)?.digest
    isLast = page.length < PAGE
  }
  const images: InventoryReport['images'][number][] = []
  for await (const held of heldImages(inventory)) {
    const { digest } = held.manifest
    if (blobs.has(digest)) images.push({ image: nameHeld(held), digest })
  }
  return { version: 1, created, images, blobs: [...blobs] }
}
