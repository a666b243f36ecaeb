export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
export const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'

/**
 * What we accept from upstreams, whoever asks us: indexes first, so that a tag always resolves to the
 * one digest that its owner published, and anything last, for custom artifacts.
 */
export const MANIFEST_ACCEPT = `${OCI_INDEX}, ${DOCKER_LIST}, ${OCI_MANIFEST}, ${DOCKER_MANIFEST}, */*;q=0.1`

export function isIndexType(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_LIST
}

export function isImageType(mediaType: string): boolean {
  return mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST
}

/** `Application/JSON; charset=utf-8` → `application/json`: parameters and case carry no meaning here. */
export function essence(contentType: string): string {
  const end = contentType.indexOf(';')
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}

/** Layers whose owner keeps them elsewhere (`urls`): registries do not have them, and nobody may carry them. */
export function isForeignLayer(mediaType: string): boolean {
  return /\.nondistributable\.|\.foreign\./.test(mediaType)
}
