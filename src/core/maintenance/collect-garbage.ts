import type { BlobStore, Clock } from '../ports.ts'
import type { HeldBlob, Inventory } from './inventory.ts'
import type { MirrorControl } from './mirror-control.ts'
import type { GcReport } from './reports.ts'

/** Time for what has just landed to be named by something. */
export const GC_GRACE_MS = 60 * 60_000

interface Deps {
  readonly store: Pick<BlobStore, 'quarantined' | 'discardQuarantined'>
  readonly inventory: Inventory
  readonly control: MirrorControl
  readonly clock: Clock
}

/**
 * Removes blobs that no manifest names, no repository may serve and no pin needs, and the damaged ones that
 * were set aside. `dryRun`: only says which.
 */
export async function collectGarbage(dryRun: boolean, deps: Deps): Promise<GcReport> {
  const { store, inventory, control, clock } = deps
  const found = await inventory.unreferenced(clock.now() - GC_GRACE_MS)
  const unreferenced: HeldBlob[] = []
  for (const blob of found) {
    // A pull may have named it since.
    if (dryRun || (await control.evict(blob.digest, 'named'))) unreferenced.push(blob)
  }
  const quarantined = await store.quarantined()
  if (!dryRun) for (const { digest } of quarantined) await store.discardQuarantined(digest)
  const all = [...unreferenced, ...quarantined]
  const bytes = all.reduce((sum, { size }) => sum + size, 0)
  return { dryRun, unreferenced, quarantined, freed: { blobs: all.length, bytes } }
}
