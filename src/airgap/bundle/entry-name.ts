import type { Digest } from '../../oci/digest.ts'
import { digestAlgorithm, digestHex, parseDigest } from '../../oci/digest.ts'

/*
 * A bundle is an OCI image layout in one uncompressed tar, or in several. These are all the entries there are,
 * in their order; each is a plain file, and none comes twice:
 *
 *   oci-layout                   image-spec "oci-layout file"; 30 bytes
 *   index.json                   the images by name, for other tools
 *   mirror-bundle.json           ours: what the bundle holds and needs (bundle-header.ts)
 *   blobs/sha256/<64 hex>        manifests and configurations, then layers from small to large
 *   blobs/sha512/<128 hex>
 *   blobs/<algorithm>/<hex>.0001 the pieces of a blob that is larger than a part, each in a part of its own
 *
 * Of a bundle in parts each part begins with the same three, so that each can be checked alone.
 */

export const LAYOUT_ENTRY = 'oci-layout'
export const INDEX_ENTRY = 'index.json'
export const HEADER_ENTRY = 'mirror-bundle.json'

/** image-spec "oci-layout file". */
export const LAYOUT_BODY = '{"imageLayoutVersion":"1.0.0"}'

export type EntryName =
  | { readonly kind: 'layout' | 'index' | 'header' }
  | { readonly kind: 'blob'; readonly digest: Digest }
  /** `piece` counts from 1. */
  | { readonly kind: 'piece'; readonly digest: Digest; readonly piece: number }

/** `blobs/sha512/` with 128 characters and the number of a piece is 145. */
const MAX_LENGTH = 160
const BLOB = /^blobs\/(sha256|sha512)\/([0-9a-f]{64,128})(?:\.([0-9]{4}))?$/

/** `undefined` for every name that no bundle has. */
export function parseEntryName(name: string): EntryName | undefined {
  if (name === LAYOUT_ENTRY) return { kind: 'layout' }
  if (name === INDEX_ENTRY) return { kind: 'index' }
  if (name === HEADER_ENTRY) return { kind: 'header' }
  const [, algorithm, hex, number] = name.length > MAX_LENGTH ? [] : (BLOB.exec(name) ?? [])
  const digest = hex === undefined ? undefined : parseDigest(`${algorithm}:${hex}`)
  if (digest === undefined) return undefined
  if (number === undefined) return { kind: 'blob', digest }
  const piece = Number(number)
  return piece === 0 ? undefined : { kind: 'piece', digest, piece }
}

export function blobEntry(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`
}

/** `piece` counts from 1, up to 9,999. */
export function pieceEntry(digest: Digest, piece: number): string {
  return `${blobEntry(digest)}.${String(piece).padStart(4, '0')}`
}
