import type { Naming } from '../../core/maintenance/image-name.ts'
import { formatImage, parseImageName } from '../../core/maintenance/image-name.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Tag } from '../../oci/reference.ts'
import { DOCKER_HUB } from '../../oci/reference.ts'

/** As manifests and other tools mean it, whatever the mirror's own default is. There are no aliases. */
const NAMING: Naming = { upstreams: new Set(), aliases: new Map(), defaultUpstream: DOCKER_HUB }
const LATEST = 'latest' as Tag
/** What other tools write before a reference. */
const TRANSPORT = /^(?:docker|docker-image|oci):\/\//

/**
 * `nginx` → `docker.io/library/nginx:latest`, and `repository` without the tag; `undefined` if it is no
 * reference.
 */
export function fullName(written: string): string | undefined {
  try {
    const image = parseImageName(written.replace(TRANSPORT, ''), NAMING)
    const isBare = image.tag === undefined && image.digest === undefined
    return formatImage(isBare ? { ...image, tag: LATEST } : image)
  } catch (error) {
    // Said by who asks: it knows the place.
    if (error instanceof MaintenanceError) return undefined
    throw error
  }
}
