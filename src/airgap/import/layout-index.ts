import type { Descriptor } from '../../oci/descriptor.ts'
import type { JsonObject } from '../../oci/json.ts'
import { asArray, isObject } from '../../oci/json.ts'
import { readDescriptor } from '../../oci/manifest.ts'
import { parseTag } from '../../oci/reference.ts'
import { BundleError } from '../bundle/bundle-error.ts'
import { INDEX_ENTRY } from '../bundle/entry-name.ts'
import { parseEntry } from '../bundle/parse-entry.ts'
import { fullName } from '../discover/full-name.ts'

/** containerd's, Docker's, k3s': the reference in full. */
const FULL = 'io.containerd.image.name'
/** The specification's: often a tag alone. */
const REFERENCE = 'org.opencontainers.image.ref.name'
const MAX_IMAGES = 50_000

/** What `index.json` lists. */
export interface LayoutRoot extends Descriptor {
  readonly full?: string
  readonly reference?: string
}

/** Throws BundleError. */
export function readLayoutIndex(bytes: Uint8Array): readonly LayoutRoot[] {
  const index = parseEntry(bytes, INDEX_ENTRY)
  const listed = isObject(index) ? asArray(index['manifests']) : []
  if (listed.length > MAX_IMAGES) {
    throw new BundleError('refused', `${INDEX_ENTRY} lists more than ${MAX_IMAGES} images`)
  }
  return listed.flatMap((entry) => {
    const descriptor = readDescriptor(entry)
    if (descriptor === undefined || !isObject(entry)) return []
    const annotations = isObject(entry['annotations']) ? entry['annotations'] : {}
    const full = textAt(annotations, FULL)
    const reference = textAt(annotations, REFERENCE)
    return [{ ...descriptor, ...(full && { full }), ...(reference && { reference }) }]
  })
}

function textAt(annotations: JsonObject, key: string): string | undefined {
  const text = annotations[key]
  return typeof text === 'string' && text !== '' && text.length <= 600 ? text : undefined
}

/**
 * What an image is called here: by its full name, or by the repository that the operator gives it. `written`:
 * the name that it had, where it is another one.
 */
export function nameOf(
  { digest, full, reference }: LayoutRoot,
  repository: string | undefined,
): { readonly image: string; readonly written?: string } | { readonly reason: string } {
  if (full !== undefined) return named(full)
  if (reference !== undefined && parseTag(reference) === undefined) return named(reference)
  if (repository === undefined) {
    const what = reference === undefined ? 'it has no name' : `it has only the tag ${reference}`
    return { reason: `${what}: say with --name to which repository it belongs` }
  }
  const image = fullName(
    reference === undefined ? `${repository}@${digest}` : `${repository}:${reference}`,
  )
  if (image === undefined) return { reason: `${repository} is no repository` }
  return { image, ...(reference !== undefined && { written: reference }) }
}

function named(written: string) {
  const image = fullName(written)
  if (image === undefined) return { reason: `${JSON.stringify(written)} is no reference` }
  return image === written ? { image } : { image, written }
}
