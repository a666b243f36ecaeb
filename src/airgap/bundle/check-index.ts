import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { Digest } from '../../oci/digest.ts'
import { asArray, isObject, parseJson } from '../../oci/json.ts'
import { BundleError } from './bundle-error.ts'
import type { BundleHeader } from './bundle-header.ts'
import { HEADER_ENTRY, INDEX_ENTRY } from './entry-name.ts'
import { refuseBomb } from './refuse-bomb.ts'

const FULL_NAME = 'io.containerd.image.name'
const REF_NAME = 'org.opencontainers.image.ref.name'

/**
 * Other tools go by `index.json`, which the id of a bundle says nothing about: it may list only images that the
 * header has, by the names that they have there. Throws BundleError `damaged`.
 */
export function checkIndex(bytes: Uint8Array, { images }: BundleHeader): void {
  refuseBomb(bytes, INDEX_ENTRY)
  const known = Map.groupBy(images, ({ manifest }) => manifest.digest)
  for (const listed of readListed(bytes)) {
    if (isKnown(listed, known)) continue
    const what = isObject(listed) ? JSON.stringify(listed['digest']) : 'what is no image'
    throw new BundleError(
      'damaged',
      `${INDEX_ENTRY} lists ${what} otherwise than ${HEADER_ENTRY} does: one of them has been changed`,
    )
  }
}

function readListed(bytes: Uint8Array): readonly unknown[] {
  try {
    const index = parseJson(bytes)
    if (isObject(index)) return asArray(index['manifests'])
  } catch (cause) {
    throw new BundleError('damaged', `${INDEX_ENTRY} is not JSON`, { cause })
  }
  throw new BundleError('damaged', `${INDEX_ENTRY} is not a JSON object`)
}

function isKnown(
  listed: unknown,
  known: ReadonlyMap<Digest, readonly Pick<CarriedImage, 'image' | 'manifest'>[]>,
): boolean {
  if (!isObject(listed)) return false
  const { digest, size, mediaType, annotations = {} } = listed
  if (!isObject(annotations)) return false
  const { [FULL_NAME]: full, [REF_NAME]: ref } = annotations
  const images = typeof digest === 'string' ? known.get(digest as Digest) : undefined
  return (
    images?.some(({ image, manifest }) => {
      if (manifest.size !== size || manifest.mediaType !== mediaType) return false
      if (full !== undefined && full !== image) return false
      return ref === undefined || (typeof ref === 'string' && isNameOf(ref, image))
    }) === true
  )
}

function isNameOf(ref: string, image: string): boolean {
  return ref === image || (ref !== '' && image.endsWith(`:${ref}`))
}
