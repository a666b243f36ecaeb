import type { CarriedImage } from '../../core/airgap/carried.ts'
import { StartError } from '../../core/start-error.ts'
import type { Digest } from '../../oci/digest.ts'
import type { BundleBlob, BundleBody, BundleHeader } from '../bundle/bundle-header.ts'
import {
  BUNDLE_VERSION,
  formatBundleHeader,
  identifyBundle,
  MAX_BUNDLE_BLOBS,
  MAX_BUNDLE_IMAGES,
  MAX_BUNDLE_PARTS,
  MAX_HEADER_BYTES,
} from '../bundle/bundle-header.ts'
import {
  blobEntry,
  HEADER_ENTRY,
  INDEX_ENTRY,
  LAYOUT_BODY,
  LAYOUT_ENTRY,
} from '../bundle/entry-name.ts'
import { TAR_END, tarEntryBytes } from '../bundle/write-tar.ts'
import type { PlacedEntry } from './cut-parts.ts'
import { cutParts } from './cut-parts.ts'
import type { RefName } from './image-index.ts'
import { formatImageIndex } from './image-index.ts'
import type { Cargo, CargoImage } from './subtract-have.ts'

/** What one tar will hold. */
export interface PlannedTar {
  readonly small: readonly SmallEntry[]
  readonly entries: readonly PlacedEntry[]
  /** Of the whole archive. */
  readonly bytes: number
}

/** Made when it is written: of many parts each has the list of all of them. */
export interface SmallEntry {
  readonly name: string
  readonly size: number
  readonly make: () => Uint8Array
}

export interface PlannedBundle {
  readonly header: BundleHeader
  readonly tars: readonly PlannedTar[]
}

export interface BundleOptions {
  /** ms since the epoch */
  readonly created: number
  readonly tool: string
  readonly refName: RefName
  /** Every part stays below so many bytes, because a file system may have a largest file just below that. */
  readonly split?: number
}

/** sha256 of a part of a blob, for those that are cut. */
export type HashPiece = (
  digest: Digest,
  pieces: readonly PlacedEntry[],
) => Promise<readonly Digest[]>

/** What a part has to have room for besides its first three entries. */
const LEAST_ROOM = 1024 * 1024
const MAX_ROUNDS = 20
const PLACEHOLDER = `sha256:${'0'.repeat(64)}` as Digest

/** Decides what goes where. Throws StartError for what would be too much for one bundle. */
export async function makeBundle(
  cargo: Cargo,
  options: BundleOptions,
  hashPiece: HashPiece,
): Promise<PlannedBundle> {
  refuseTooMany(cargo)
  const index = formatImageIndex(cargo.images, options.refName)
  const body: BundleBody = {
    version: BUNDLE_VERSION,
    created: options.created,
    tool: options.tool,
    images: cargo.images.map(toCarried),
    blobs: cargo.blobs,
    requires: cargo.requires,
    parents: cargo.parents,
  }
  if (options.split === undefined) {
    const header = identifyBundle(body)
    const entries = cargo.blobs.map((blob) => whole(blob))
    return { header, tars: [planTar(header, undefined, index, entries)] }
  }
  const entries = cut(body, index, options.split)
  const count = entries.at(-1)?.part ?? 1
  const hashes = await hashPieces(entries, hashPiece)
  const blobs = locate(cargo.blobs, entries, hashes)
  const header = identifyBundle({ ...body, blobs, parts: { count, size: options.split } })
  const tars = Array.from({ length: count }, (_, at) =>
    planTar(
      header,
      at + 1,
      index,
      entries.filter(({ part }) => part === at + 1),
    ),
  )
  return { header, tars }
}

function toCarried(image: CargoImage): CarriedImage {
  const { isWhole: _, ...carried } = image
  return carried
}

function whole(blob: BundleBlob): PlacedEntry {
  return { name: blobEntry(blob.digest), blob, part: 1, start: 0, size: blob.size }
}

function planTar(
  header: BundleHeader,
  part: number | undefined,
  index: Uint8Array,
  entries: readonly PlacedEntry[],
): PlannedTar {
  const small = [
    smallEntry(LAYOUT_ENTRY, () => Buffer.from(LAYOUT_BODY)),
    smallEntry(INDEX_ENTRY, () => index),
    smallEntry(HEADER_ENTRY, () => formatBundleHeader(header, part)),
  ]
  const tooLarge = small.find(({ size }) => size > MAX_HEADER_BYTES)
  if (tooLarge !== undefined) throw tooMuch(`its ${tooLarge.name} has ${tooLarge.size} bytes`)
  const sizes = [...small, ...entries].map(({ name, size }) => tarEntryBytes(name, size))
  return { small, entries, bytes: sizes.reduce((sum, size) => sum + size, TAR_END.length) }
}

export function smallEntry(name: string, make: () => Uint8Array): SmallEntry {
  return { name, size: make().length, make }
}

/** The header tells where things are, and takes room from them: cut again until what it takes was left for it. */
function cut(body: BundleBody, index: Uint8Array, split: number): readonly PlacedEntry[] {
  let reserved = measure(body, [], index, split)
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const room = split - 1 - reserved
    if (room < LEAST_ROOM) {
      const least = Math.ceil((reserved + LEAST_ROOM) / LEAST_ROOM) * LEAST_ROOM
      throw new StartError(
        `parts of ${split} bytes are too small, because each begins with a list of what there is: use --split with at least ${least / LEAST_ROOM}MiB`,
      )
    }
    const entries = cutParts(body.blobs, room)
    if (entries === undefined) {
      throw new StartError(
        `it would take more than ${MAX_BUNDLE_PARTS} parts: use a larger size with --split`,
      )
    }
    const needed = measure(body, entries, index, split)
    if (needed <= reserved) return entries
    reserved = needed
  }
  throw new Error(`the size of the header did not settle within ${MAX_ROUNDS} rounds`)
}

/** Bytes of a part without its blobs, at most. */
function measure(
  body: BundleBody,
  entries: readonly PlacedEntry[],
  index: Uint8Array,
  split: number,
): number {
  const blobs = locate(body.blobs, entries, new Map(entries.map((entry) => [entry, PLACEHOLDER])))
  const parts = { count: MAX_BUNDLE_PARTS, size: split }
  const header: BundleHeader = { ...body, blobs, parts, id: PLACEHOLDER }
  return planTar(header, MAX_BUNDLE_PARTS, index, []).bytes
}

async function hashPieces(
  entries: readonly PlacedEntry[],
  hashPiece: HashPiece,
): Promise<ReadonlyMap<PlacedEntry, Digest>> {
  const hashes = new Map<PlacedEntry, Digest>()
  const cutBlobs = Map.groupBy(
    entries.filter(({ blob, size }) => size !== blob.size),
    ({ blob }) => blob.digest,
  )
  for (const [digest, pieces] of cutBlobs) {
    const found = await hashPiece(digest, pieces)
    for (const [at, piece] of pieces.entries()) hashes.set(piece, found[at] ?? PLACEHOLDER)
  }
  return hashes
}

/** Each blob with its part, or with its pieces. */
function locate(
  blobs: readonly BundleBlob[],
  entries: readonly PlacedEntry[],
  hashes: ReadonlyMap<PlacedEntry, Digest>,
): readonly BundleBlob[] {
  const places = Map.groupBy(entries, ({ blob }) => blob.digest)
  return blobs.map((blob) => {
    const placed = places.get(blob.digest) ?? []
    const [only] = placed
    if (only?.size === blob.size) return { ...blob, part: only.part }
    const pieces = placed.map((piece) => {
      const { part, size } = piece
      return { part, size, digest: hashes.get(piece) ?? PLACEHOLDER }
    })
    return { ...blob, pieces }
  })
}

function refuseTooMany({ images, blobs, requires }: Cargo): void {
  if (images.length > MAX_BUNDLE_IMAGES) throw tooMuch(`it has ${images.length} images`)
  if (blobs.length > MAX_BUNDLE_BLOBS) throw tooMuch(`it has ${blobs.length} blobs`)
  if (requires.length > MAX_BUNDLE_BLOBS) throw tooMuch(`it requires ${requires.length} blobs`)
}

function tooMuch(what: string): StartError {
  return new StartError(`this is too much for one bundle: ${what}. Export it in several`)
}
