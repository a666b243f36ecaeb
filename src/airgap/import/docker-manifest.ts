import { posix } from 'node:path'
import { asArray, isObject } from '../../oci/json.ts'
import { BundleError } from '../bundle/bundle-error.ts'
import { parseEntry } from '../bundle/parse-entry.ts'
import type { Listing } from './foreign-archive.ts'

export const DOCKER_ENTRY = 'manifest.json'
const MAX_IMAGES = 10_000
const MAX_LAYERS = 1_000

/** An image of a docker save archive, by the names of its entries. */
export interface SavedImage {
  readonly config: string
  readonly layers: readonly string[]
  readonly tags: readonly string[]
}

/** `[{"Config": …, "RepoTags": […], "Layers": […]}]`. Throws BundleError. */
export function readDockerManifest(bytes: Uint8Array, listing: Listing): readonly SavedImage[] {
  const value = parseEntry(bytes, DOCKER_ENTRY)
  if (!Array.isArray(value) || value.length > MAX_IMAGES) {
    throw new BundleError('refused', `${DOCKER_ENTRY} is no list of images`)
  }
  return value.map((image: unknown) => {
    if (!isObject(image)) throw new BundleError('refused', `${DOCKER_ENTRY} is no list of images`)
    const layers = asArray(image['Layers'])
    if (layers.length > MAX_LAYERS) {
      throw new BundleError('refused', `${DOCKER_ENTRY} has an image of ${layers.length} layers`)
    }
    return {
      config: find(image['Config'], listing),
      layers: layers.map((layer) => find(layer, listing)),
      tags: asArray(image['RepoTags']).filter((tag) => typeof tag === 'string'),
    }
  })
}

/** Old versions of Docker, and podman, write a link where a layer comes twice: one that stays within the archive. */
function find(name: unknown, { files, links }: Listing): string {
  if (typeof name !== 'string') {
    throw new BundleError('refused', `${DOCKER_ENTRY} names something that is no text`)
  }
  if (files.has(name)) return name
  const target = links.get(name)
  const shown = JSON.stringify(name)
  if (target === undefined) {
    throw new BundleError('truncated', `${shown} is missing: ${DOCKER_ENTRY} names it`)
  }
  const led = posix.join(posix.dirname(name), target)
  if (files.has(led)) return led
  const hard = posix.normalize(target)
  if (files.has(hard)) return hard
  throw new BundleError(
    'refused',
    `${shown} is a link to ${JSON.stringify(target)}, which is no entry`,
  )
}
