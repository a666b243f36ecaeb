import { createHash } from 'node:crypto'
import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { Digest } from '../../oci/digest.ts'
import { isObject } from '../../oci/json.ts'

/** The only version there is. What is added later has to be something that this one may ignore. */
export const BUNDLE_VERSION = 1

/** Of `mirror-bundle.json`, and of `index.json`. About 200,000 blobs. */
export const MAX_HEADER_BYTES = 32 * 1024 * 1024
export const MAX_BUNDLE_IMAGES = 50_000
export const MAX_BUNDLE_BLOBS = 200_000
export const MAX_BUNDLE_PARTS = 9_999

/** `mirror-bundle.json`: what a bundle holds, in all its parts, and what it needs besides. */
export interface BundleHeader {
  readonly version: typeof BUNDLE_VERSION
  /** `sha256:…` over all of it but itself and `part`: see `identifyBundle`. */
  readonly id: Digest
  /** ms since the epoch */
  readonly created: number
  /** `oci-mirror 0.1.0` */
  readonly tool: string
  readonly images: readonly CarriedImage[]
  /** Each once, in the order of the entries. */
  readonly blobs: readonly BundleBlob[]
  /** What its images need and it does not hold, because the other side was said to have it. */
  readonly requires: readonly RequiredBlob[]
  /** The bundles that the other side was said to have. */
  readonly parents: readonly BundleParent[]
  /** Of a bundle in parts: how many, and bytes that each has at most. */
  readonly parts?: { readonly count: number; readonly size: number }
  /** Of a bundle in parts: which of them this is, from 1. Absent in the header that is a file of its own. */
  readonly part?: number
}

export interface BundleBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** As stated by what names it; absent if that does not say. */
  readonly mediaType?: string
  /** Of a bundle in parts: where it is, unless it is in pieces. */
  readonly part?: number
  /** Of one that is larger than a part, in their order. */
  readonly pieces?: readonly BundlePiece[]
}

export interface BundlePiece {
  readonly part: number
  readonly size: number
  /** Of the piece alone, so that a part can be checked without the others. */
  readonly digest: Digest
}

export interface RequiredBlob {
  readonly digest: Digest
  readonly size: number
  /** The id of the bundle that had it, if that is known. */
  readonly from?: Digest
}

export interface BundleParent {
  readonly id: Digest
  /** As a person knows it: the file's name without its ending. */
  readonly name: string
  /** ms since the epoch */
  readonly created: number
}

/** Without what can only be told of the whole. */
export type BundleBody = Omit<BundleHeader, 'id' | 'part'>

/** The body with its id. */
export function identifyBundle(body: BundleBody): BundleHeader {
  return { ...body, id: idOf(body) }
}

/** Of one part, or, without `part`, of all of them: the file beside the bundle. */
export function formatBundleHeader(header: BundleHeader, part?: number): Buffer {
  const { version, id, created, tool, parts, images, parents, requires, blobs } = header
  // What a person may want to read comes first, and what is long last.
  const told = { version, id, created, tool, parts, part, parents, images, requires, blobs }
  return Buffer.from(`${JSON.stringify(told)}\n`)
}

/** sha256 over the JSON with the members of each object in the order of their names, and no spaces. */
export function idOf(value: object): Digest {
  const { id: _, part: __, ...body } = value as Readonly<Record<string, unknown>>
  const hash = createHash('sha256')
  hash.update(canonical(body))
  return `sha256:${hash.digest('hex')}` as Digest
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (!isObject(member)) return member
    return Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}
