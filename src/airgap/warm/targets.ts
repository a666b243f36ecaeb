import type { ListedReference } from '../../core/airgap/warm-api.ts'
import type { ImageName, Naming } from '../../core/maintenance/image-name.ts'
import { formatImage, parseImageName } from '../../core/maintenance/image-name.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Tag } from '../../oci/reference.ts'
import { parseTag } from '../../oci/reference.ts'

/** What is to be warmed. */
export interface Target {
  readonly listed: ListedReference
  /** The full name; as it was written if it is no name. */
  readonly image: string
  readonly name: ImageName | { readonly reason: string }
}

const LATEST = parseTag('latest') as Tag

/** Each image once, whoever names it in whatever way first. No tag and no digest means `latest`. */
export function toTargets(images: readonly ListedReference[], naming: Naming): readonly Target[] {
  const targets = new Map<string, Target>()
  for (const listed of images) {
    const target = toTarget(listed, naming)
    if (!targets.has(target.image)) targets.set(target.image, target)
  }
  return [...targets.values()]
}

function toTarget(listed: ListedReference, naming: Naming): Target {
  try {
    const written = parseImageName(listed.reference, naming)
    const isBare = written.tag === undefined && written.digest === undefined
    const name = isBare ? { ...written, tag: LATEST } : written
    return { listed, image: formatImage(name), name }
  } catch (reason) {
    if (!(reason instanceof MaintenanceError)) throw reason
    // One line of a list that is no image is no reason to leave out the others.
    return { listed, image: listed.reference, name: { reason: reason.message } }
  }
}
