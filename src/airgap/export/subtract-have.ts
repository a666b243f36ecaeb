import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { ExportPlan } from '../../core/airgap/export-api.ts'
import type { BundleBlob, BundleParent, RequiredBlob } from '../bundle/bundle-header.ts'
import type { Have } from './have.ts'

/** What has to be carried, now that the other side has something. */
export interface Cargo {
  readonly images: readonly CargoImage[]
  /** In the order of the plan. */
  readonly blobs: readonly BundleBlob[]
  /** What the images need besides. */
  readonly requires: readonly RequiredBlob[]
  /** Of what the other side was said to have, those that are needed. */
  readonly parents: readonly BundleParent[]
  /** Of the plan, as if the other side had nothing. */
  readonly full: { readonly images: number; readonly blobs: number; readonly bytes: number }
}

export interface CargoImage extends CarriedImage {
  /** All its parts are in the bundle. */
  readonly isWhole: boolean
}

/** An image that the other side has as it is stays here; of the others comes what it does not have. */
export function subtractHave(plan: ExportPlan, have: Have): Cargo {
  const needed = new Set<number>()
  const images: CargoImage[] = []
  const isHad = (position: number) => {
    const blob = plan.blobs[position]
    return blob !== undefined && have.blobs.has(blob.digest)
  }
  for (const { parts, ...image } of plan.images) {
    const isSame = have.images.get(image.image) === image.manifest.digest
    if (isSame && parts.every(isHad)) continue
    for (const position of parts) needed.add(position)
    images.push({ ...image, isWhole: !parts.some(isHad) })
  }
  const blobs: BundleBlob[] = []
  const requires: RequiredBlob[] = []
  for (const [position, { digest, size, mediaType }] of plan.blobs.entries()) {
    if (!needed.has(position)) continue
    const from = have.blobs.get(digest)
    if (isHad(position)) requires.push({ digest, size, ...(from && { from }) })
    else blobs.push({ digest, size, ...(mediaType !== '' && { mediaType }) })
  }
  const bytes = plan.blobs.reduce((sum, { size }) => sum + size, 0)
  const full = { images: plan.images.length, blobs: plan.blobs.length, bytes }
  const named = new Set(requires.map(({ from }) => from))
  const parents = have.parents.filter(({ id }) => named.has(id))
  return { images, blobs, requires, parents, full }
}
