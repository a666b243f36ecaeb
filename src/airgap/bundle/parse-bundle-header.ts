import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { parseDigest } from '../../oci/digest.ts'
import type { JsonObject } from '../../oci/json.ts'
import { isObject } from '../../oci/json.ts'
import type { BundleBlob, BundleHeader, BundleParent, BundlePiece } from './bundle-header.ts'
import type { RequiredBlob } from './bundle-header.ts'
import {
  BUNDLE_VERSION,
  idOf,
  MAX_BUNDLE_BLOBS,
  MAX_BUNDLE_IMAGES,
  MAX_BUNDLE_PARTS,
} from './bundle-header.ts'
import { BundleError } from './bundle-error.ts'
import { HEADER_ENTRY } from './entry-name.ts'
import { parseEntry } from './parse-entry.ts'

/** Longer than any reference, and than what a person calls a bundle. */
const MAX_TEXT = 700
const MAX_PLATFORMS = 100

/**
 * Reads `mirror-bundle.json`, which may come from anyone: nothing of it is believed before it has been looked
 * at, and what contradicts itself is refused. Throws BundleError.
 */
export function parseBundleHeader(bytes: Uint8Array): BundleHeader {
  const value = readObject(bytes)
  const { version, tool } = value
  if (version !== BUNDLE_VERSION) throw versionError(version, tool)
  const id = digestAt(value, 'id')
  if (idOf(value) !== id) {
    throw new BundleError('damaged', `${HEADER_ENTRY} is not what its id says: it has been changed`)
  }
  const parts = value['parts'] === undefined ? undefined : readParts(value['parts'])
  const header: BundleHeader = {
    version: BUNDLE_VERSION,
    id,
    created: numberAt(value, 'created'),
    tool: textAt(value, 'tool'),
    images: listAt(value, 'images', MAX_BUNDLE_IMAGES).map(readImage),
    blobs: listAt(value, 'blobs', MAX_BUNDLE_BLOBS).map((blob) => readBlob(blob, parts?.count)),
    requires: listAt(value, 'requires', MAX_BUNDLE_BLOBS).map(readRequired),
    parents: listAt(value, 'parents', MAX_BUNDLE_IMAGES).map(readParent),
    ...(parts && { parts }),
    ...(value['part'] !== undefined && { part: partAt(value, parts?.count) }),
  }
  refuseTwice(header)
  return header
}

function readObject(bytes: Uint8Array): JsonObject {
  const value = parseEntry(bytes, HEADER_ENTRY)
  if (!isObject(value)) throw refused('is not a JSON object')
  return value
}

function versionError(version: unknown, tool: unknown): BundleError {
  if (typeof version !== 'number' || version < BUNDLE_VERSION) return refused('has no version')
  const by = typeof tool === 'string' ? ` by ${JSON.stringify(tool.slice(0, MAX_TEXT))}` : ''
  const what = `the bundle was written${by} in version ${version} of the format`
  return new BundleError(
    'newer',
    `${what}, and this oci-mirror reads version ${BUNDLE_VERSION}: update it`,
  )
}

function readParts(value: unknown): { readonly count: number; readonly size: number } {
  if (!isObject(value)) throw refused('has "parts" that are no object')
  const count = numberAt(value, 'count')
  if (count < 1 || count > MAX_BUNDLE_PARTS) throw refused(`cannot have ${count} parts`)
  return { count, size: numberAt(value, 'size') }
}

function readImage(value: unknown): CarriedImage {
  if (!isObject(value)) throw refused('has an image that is no object')
  const { platforms, checkedAt, pinned, subject, manifest } = value
  return {
    image: textAt(value, 'image'),
    manifest: readDescriptor(manifest),
    platforms: readPlatforms(platforms),
    ...(checkedAt !== undefined && { checkedAt: numberAt(value, 'checkedAt') }),
    ...(pinned === true && { pinned }),
    ...(subject !== undefined && { subject: digestAt(value, 'subject') }),
  }
}

function readPlatforms(value: unknown): CarriedImage['platforms'] {
  if (value === 'all') return value
  const isList = Array.isArray(value) && value.length <= MAX_PLATFORMS
  if (!isList || !value.every(isText)) throw refused('has an image without platforms')
  return value
}

function readDescriptor(value: unknown): Descriptor {
  if (!isObject(value)) throw refused('has an image without a manifest')
  const { mediaType } = value
  if (typeof mediaType !== 'string' || mediaType.length > MAX_TEXT) {
    throw refused('has a manifest without a media type')
  }
  return { mediaType, digest: digestAt(value, 'digest'), size: numberAt(value, 'size') }
}

function readBlob(value: unknown, parts: number | undefined): BundleBlob {
  if (!isObject(value)) throw refused('has a blob that is no object')
  const { mediaType } = value
  const blob = { digest: digestAt(value, 'digest'), size: numberAt(value, 'size') }
  const place = readPlace(value, blob.size, parts)
  return { ...blob, ...(isText(mediaType) && { mediaType }), ...place }
}

function readPlace(
  value: JsonObject,
  size: number,
  parts: number | undefined,
): Pick<BundleBlob, 'part' | 'pieces'> {
  if (parts === undefined) return {}
  if (value['pieces'] === undefined) return { part: partAt(value, parts) }
  const pieces = listAt(value, 'pieces', parts).map((piece): BundlePiece => {
    if (!isObject(piece)) throw refused('has a piece that is no object')
    const [digest, size] = [digestAt(piece, 'digest'), numberAt(piece, 'size')]
    return { part: partAt(piece, parts), size, digest }
  })
  const total = pieces.reduce((sum, piece) => sum + piece.size, 0)
  if (total !== size) throw refused(`has a blob of ${size} bytes in pieces of ${total} in all`)
  return { pieces }
}

function readRequired(value: unknown): RequiredBlob {
  if (!isObject(value)) throw refused('requires what is no object')
  const blob = { digest: digestAt(value, 'digest'), size: numberAt(value, 'size') }
  return value['from'] === undefined ? blob : { ...blob, from: digestAt(value, 'from') }
}

function readParent(value: unknown): BundleParent {
  if (!isObject(value)) throw refused('has a parent that is no object')
  const [id, created] = [digestAt(value, 'id'), numberAt(value, 'created')]
  return { id, name: textAt(value, 'name'), created }
}

function refuseTwice({ blobs, requires }: BundleHeader): void {
  const seen = new Set<Digest>()
  for (const { digest } of [...blobs, ...requires]) {
    if (seen.has(digest)) throw refused(`names ${digest} twice`)
    seen.add(digest)
  }
}

function listAt(value: JsonObject, key: string, limit: number): readonly unknown[] {
  const list = value[key]
  if (!Array.isArray(list)) throw refused(`has no list "${key}"`)
  if (list.length > limit) throw refused(`has more than ${limit} "${key}"`)
  return list
}

function digestAt(value: JsonObject, key: string): Digest {
  const text = value[key]
  const digest = typeof text === 'string' ? parseDigest(text) : undefined
  if (digest === undefined) throw refused(`has a "${key}" that is no digest`)
  return digest
}

function numberAt(value: JsonObject, key: string): number {
  const number = value[key]
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw refused(`has a "${key}" that is no whole number`)
}

function partAt(value: JsonObject, parts: number | undefined): number {
  const part = numberAt(value, 'part')
  if (part >= 1 && parts !== undefined && part <= parts) return part
  throw refused(`names part ${part} of ${parts ?? 'a bundle without parts'}`)
}

function textAt(value: JsonObject, key: string): string {
  const text = value[key]
  if (isText(text)) return text
  throw refused(`has a "${key}" that is no text`)
}

/** Printed on terminals: without control characters, and not without end. */
function isText(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_TEXT) return false
  return !/\p{Cc}/u.test(value)
}

function refused(what: string): BundleError {
  return new BundleError('refused', `${HEADER_ENTRY} ${what}`)
}
