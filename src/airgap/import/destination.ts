import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { Naming } from '../../core/maintenance/image-name.ts'
import { formatImage, parseImageName } from '../../core/maintenance/image-name.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Repository, Tag } from '../../oci/reference.ts'

/** Where an image goes. */
export interface Destination {
  readonly repository: Repository
  readonly tag?: Tag
  /** Its full name. */
  readonly image: string
}

/** Or why it cannot be taken. */
export function findDestination(
  { image, manifest }: CarriedImage,
  naming: Naming,
): Destination | { readonly reason: string } {
  try {
    const { repository, tag, digest } = parseImageName(image, naming)
    const { upstream } = repository
    if (!naming.upstreams.has(upstream)) {
      const hint = 'add it under `upstreams` in the configuration, and import again'
      return { reason: `${upstream} is not an upstream of this mirror: ${hint}` }
    }
    if (digest !== undefined && digest !== manifest.digest) {
      return {
        reason: `its name and its manifest are of two digests, and ${digest} is one of them`,
      }
    }
    if (tag === undefined && digest === undefined) return { reason: 'its name has no tag' }
    if (tag !== undefined) return { repository, tag, image: formatImage({ repository, tag }) }
    return { repository, image: formatImage({ repository, digest: manifest.digest }) }
  } catch (reason) {
    // One wrong name says nothing about the others.
    if (reason instanceof MaintenanceError) return { reason: reason.message }
    throw reason
  }
}
