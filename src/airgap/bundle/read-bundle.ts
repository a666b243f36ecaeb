import { BundleError } from './bundle-error.ts'
import type { BundleBlob, BundleHeader } from './bundle-header.ts'
import { MAX_HEADER_BYTES } from './bundle-header.ts'
import type { BundleEntry, BundleHandlers } from './bundle-handlers.ts'
import type { ByteSource } from './byte-reader.ts'
import { checkIndex } from './check-index.ts'
import {
  blobEntry,
  HEADER_ENTRY,
  INDEX_ENTRY,
  LAYOUT_ENTRY,
  parseEntryName,
  pieceEntry,
} from './entry-name.ts'
import { parseBundleHeader } from './parse-bundle-header.ts'
import { readSmall } from './read-small.ts'
import type { TarEntry } from './read-tar.ts'
import { readTar } from './read-tar.ts'

/** The three that every part begins with, and how large each may be. */
const FIRST = [
  [LAYOUT_ENTRY, 1024],
  [INDEX_ENTRY, MAX_HEADER_BYTES],
  [HEADER_ENTRY, MAX_HEADER_BYTES],
] as const

/**
 * Reads one tar to its end and refuses what is no bundle: an entry that the header does not name, of another
 * size than it says, or in another part; one that it names and that is missing. Where the source can skip,
 * what the handlers do not read is not read. Throws BundleError, and what the handlers throw.
 */
export async function readBundle(
  source: ByteSource,
  handlers: BundleHandlers,
  signal: AbortSignal,
): Promise<void> {
  const entries = readTar(source)
  try {
    const header = await readFirst(entries)
    await handlers.header(header)
    const expected = placesOf(header)
    for await (const entry of entries) {
      signal.throwIfAborted()
      const found = checkEntry(entry, expected)
      expected.delete(entry.name)
      await handlers.blob(found, entry.body)
    }
    const [missing] = expected.keys()
    if (missing === undefined) return
    const others = expected.size === 1 ? '' : `, and ${expected.size - 1} more`
    throw new BundleError('truncated', `${missing} is missing${others}: ${HEADER_ENTRY} names it`)
  } finally {
    await entries.return(undefined)
  }
}

async function readFirst(entries: AsyncGenerator<TarEntry>): Promise<BundleHeader> {
  const read = new Map<string, Uint8Array>()
  for (const [name, limit] of FIRST) {
    const { done, value: entry } = await entries.next()
    if (done === true) throw new BundleError('truncated', `the archive ends before ${name}`)
    if (entry.name !== name || entry.kind !== 'file') {
      const found = JSON.stringify(entry.name)
      throw new BundleError('refused', `${found} is where ${name} has to be: it is no bundle`)
    }
    if (entry.size > limit) {
      throw new BundleError('refused', `${name} has ${entry.size} bytes, ${limit} at most are read`)
    }
    read.set(name, await readSmall(entry))
  }
  const nothing = new Uint8Array(0)
  const header = parseBundleHeader(read.get(HEADER_ENTRY) ?? nothing)
  if (header.parts !== undefined && header.part === undefined) {
    throw new BundleError('refused', `${HEADER_ENTRY} does not say which part this is`)
  }
  checkIndex(read.get(INDEX_ENTRY) ?? nothing, header)
  return header
}

/** By the names of the entries of this part. */
function placesOf({ blobs, part }: BundleHeader): Map<string, BundleEntry> {
  const places = new Map<string, BundleEntry>()
  for (const blob of blobs) for (const place of placesIn(blob, part)) places.set(place.name, place)
  return places
}

function placesIn(blob: BundleBlob, part: number | undefined): readonly BundleEntry[] {
  const { digest, size, pieces } = blob
  if (pieces === undefined) {
    return blob.part === part ? [{ name: blobEntry(digest), digest, size }] : []
  }
  return pieces.flatMap((piece, index) => {
    if (piece.part !== part) return []
    const name = pieceEntry(digest, index + 1)
    return [{ name, digest, size: piece.size, piece: index + 1 }]
  })
}

function checkEntry(
  { name, kind, size }: TarEntry,
  expected: ReadonlyMap<string, BundleEntry>,
): BundleEntry {
  const shown = JSON.stringify(name)
  if (kind !== 'file') throw new BundleError('refused', `${shown} is a ${kind}, not a plain file`)
  const parsed = parseEntryName(name)
  if (parsed === undefined) throw new BundleError('refused', `${shown} is no entry of a bundle`)
  const place = expected.get(name)
  if (place === undefined) {
    throw new BundleError('refused', `${shown} is not what ${HEADER_ENTRY} says is in here`)
  }
  if (place.size === size) return place
  const said = `${HEADER_ENTRY} says ${place.size}`
  throw new BundleError('refused', `${shown} has ${size} bytes, and ${said}`)
}
