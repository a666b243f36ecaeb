import type { Digest } from '../../oci/digest.ts'
import { isImageType, isIndexType } from '../../oci/media-types.ts'
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts'
import { BundleError } from '../bundle/bundle-error.ts'
import type { BundleEntry } from '../bundle/bundle-handlers.ts'
import type { BundleHeader } from '../bundle/bundle-header.ts'
import { pieceEntry } from '../bundle/entry-name.ts'
import { readBundle } from '../bundle/read-bundle.ts'
import { readSmall } from '../bundle/read-small.ts'
import { readTar } from '../bundle/read-tar.ts'
import type { ArchiveFile } from './archive-file.ts'
import type { Cargo, TakeBlob } from './cargo.ts'
import { inFile } from './in-file.ts'

type PlainFile = Extract<ArchiveFile, { kind: 'file' }>

/** A part of a bundle that has been looked through from end to end. */
export interface BundlePart {
  readonly file: PlainFile
  readonly header: BundleHeader
}

/** Looks through it without reading any blob. Throws BundleError. */
export async function inspectPart(file: PlainFile, signal: AbortSignal): Promise<BundlePart> {
  let found: BundleHeader | undefined
  const handlers = {
    header: async (header: BundleHeader) => {
      found = header
    },
    blob: async () => {},
  }
  await inFile(file.name, () => readBundle(file.open(), handlers, signal))
  if (found === undefined) throw new BundleError('truncated', `${file.name} has no header`)
  return { file, header: found }
}

/** The parts are of one bundle. */
export function cargoOfParts(parts: readonly [BundlePart, ...BundlePart[]]): Cargo {
  const [{ header, file }] = parts
  return {
    ...factsOf(header, nameOfBundle(file.name, header)),
    absent: absentParts(header, parts),
    manifests: (digests) => readManifests(parts, digests),
    deliver: (wanted, take, signal) => deliverParts(parts, wanted, take, signal),
    close: async () => {},
  }
}

export function factsOf(
  header: BundleHeader,
  name: string,
): Pick<Cargo, 'origin' | 'images' | 'blobs' | 'requires' | 'parents' | 'notes'> {
  const { id, created, images, blobs, requires, parents } = header
  return { origin: { id, created, name }, images, blobs, requires, parents, notes: [] }
}

/** Without the ending, and without the number of a part. */
function nameOfBundle(file: string, { part }: BundleHeader): string {
  const bare = file.replace(/\.(?:gz|zst)$/, '').replace(/\.tar$/, '')
  return part === undefined ? bare : bare.replace(/\.[0-9]{3,4}$/, '')
}

export function absentParts(
  { parts }: BundleHeader,
  given: readonly { readonly header: BundleHeader }[],
): readonly number[] {
  const numbers = new Set(given.map(({ header }) => header.part))
  const all = Array.from({ length: parts?.count ?? 0 }, (_, index) => index + 1)
  return all.filter((part) => !numbers.has(part))
}

async function deliverParts(
  parts: readonly BundlePart[],
  wanted: ReadonlySet<Digest>,
  take: TakeBlob,
  signal: AbortSignal,
): Promise<void> {
  for (const { file, header } of parts) {
    const blob = async (entry: BundleEntry, body: AsyncIterable<Uint8Array>) => {
      if (entry.piece !== undefined || !wanted.has(entry.digest)) return
      await take({ ...entry, place: `${file.name}: ${entry.name}` }, body)
    }
    const same = async (again: BundleHeader) => refuseOther(again, header)
    await inFile(file.name, () => readBundle(file.open(), { header: same, blob }, signal))
  }
  await deliverPieced(parts, wanted, take)
}

/** It was looked through before, and somebody may have written to it since. */
function refuseOther(again: BundleHeader, header: BundleHeader): void {
  if (again.id === header.id && again.part === header.part) return
  throw new BundleError('refused', 'it has changed while it was imported')
}

/** What is larger than a part, as far as all of its pieces are at hand. */
async function deliverPieced(
  parts: readonly BundlePart[],
  wanted: ReadonlySet<Digest>,
  take: TakeBlob,
): Promise<void> {
  const files = new Map(parts.map(({ file, header }) => [header.part, file]))
  for (const { digest, size, pieces = [] } of parts[0]?.header.blobs ?? []) {
    const sources = pieces.flatMap(({ part }, index) => {
      const file = files.get(part)
      return file === undefined ? [] : [{ file, piece: index + 1 }]
    })
    if (pieces.length === 0 || sources.length < pieces.length || !wanted.has(digest)) continue
    const names = [...new Set(sources.map(({ file }) => file.name))].join(', ')
    await take(
      { digest, size, place: `${names}: ${digest} in pieces` },
      joinPieces(digest, sources),
    )
  }
}

async function* joinPieces(
  digest: Digest,
  sources: readonly { readonly file: PlainFile; readonly piece: number }[],
): AsyncGenerator<Uint8Array> {
  for (const { file, piece } of sources) {
    const name = pieceEntry(digest, piece)
    for await (const entry of readTar(file.open())) {
      if (entry.name !== name) continue
      yield* entry.body
      break
    }
  }
}

/** Manifests come first: a bundle's are a small part of it. */
async function readManifests(
  parts: readonly BundlePart[],
  digests: ReadonlySet<Digest>,
): Promise<ReadonlyMap<Digest, Uint8Array>> {
  const found = new Map<Digest, Uint8Array>()
  const { signal } = new AbortController()
  for (const { file, header } of parts) {
    const types = new Map(header.blobs.map(({ digest, mediaType = '' }) => [digest, mediaType]))
    const blob = async (entry: BundleEntry, body: AsyncIterable<Uint8Array>) => {
      const type = types.get(entry.digest) ?? ''
      const isManifest = isIndexType(type) || isImageType(type) || digests.has(entry.digest)
      if (isManifest && entry.size <= MAX_MANIFEST_BYTES && entry.piece === undefined) {
        found.set(entry.digest, await readSmall({ size: entry.size, body }))
      }
    }
    const handlers = { header: async () => {}, blob }
    await inFile(file.name, () => readBundle(file.open(), handlers, signal))
  }
  return found
}
