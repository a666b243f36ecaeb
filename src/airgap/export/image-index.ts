import { OCI_INDEX } from '../../oci/media-types.ts'
import type { CargoImage } from './subtract-have.ts'

/** What `index.json` calls an image: its tag, or its full name where two repositories share a tag. */
export type RefName = 'tag' | 'full'

/**
 * `index.json`, for tools that know OCI layouts and not our header. Only what is whole in the bundle: they have
 * no other place to take the rest from. A signature has no name, or they would take it for an image.
 */
export function formatImageIndex(images: readonly CargoImage[], refName: RefName): Buffer {
  const manifests = images
    .filter(({ isWhole }) => isWhole)
    .map(({ image, manifest, subject }) => {
      const { mediaType, digest, size } = manifest
      const annotations = subject === undefined ? nameOf(image, refName) : undefined
      return { mediaType, digest, size, annotations }
    })
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests }
  return Buffer.from(`${JSON.stringify(index)}\n`)
}

/** `ctr`, Docker and k3s read the one, `skopeo`, `oras` and `regctl` the other. */
function nameOf(image: string, refName: RefName): Readonly<Record<string, string>> {
  const ref = refName === 'full' ? image : tagOf(image)
  return {
    'io.containerd.image.name': image,
    ...(ref !== undefined && { 'org.opencontainers.image.ref.name': ref }),
  }
}

/** `undefined` for an image that was asked for by its digest. */
function tagOf(image: string): string | undefined {
  const colon = image.indexOf(':', image.lastIndexOf('/'))
  return image.includes('@') || colon < 0 ? undefined : image.slice(colon + 1)
}
