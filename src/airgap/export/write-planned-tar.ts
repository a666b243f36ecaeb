import { createHash } from 'node:crypto'
import type { ExportApi } from '../../core/airgap/export-api.ts'
import type { Digest } from '../../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../../oci/digest.ts'
import { formatTarHead, TAR_END, tarPadding } from '../bundle/write-tar.ts'
import type { Sink } from './bundle-files.ts'
import type { PlacedEntry } from './cut-parts.ts'
import type { PlannedTar } from './make-bundle.ts'
import { damagedHere, readHeldBlob } from './read-held-blob.ts'

type Reader = Pick<ExportApi, 'read'>

/**
 * Writes the archive to its end, hashing what it writes: nothing damaged is carried away. `onBytes` is told
 * of each chunk of the blobs. Throws BundleError `damaged`.
 */
export async function writePlannedTar(
  { small, entries }: PlannedTar,
  exports: Reader,
  sink: Sink,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const { name, size, make } of small) {
    await sink(formatTarHead(name, size))
    await sink(make())
    await sink(tarPadding(size))
  }
  for (const entry of entries) {
    await sink(formatTarHead(entry.name, entry.size))
    await copyEntry(entry, exports, sink, onBytes, signal)
    await sink(tarPadding(entry.size))
  }
  await sink(TAR_END)
}

/** A blob that was cut has been hashed then. */
async function copyEntry(
  { blob, start, size }: PlacedEntry,
  exports: Reader,
  sink: Sink,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { digest } = blob
  const hash = size === blob.size ? createHash(digestAlgorithm(digest)) : undefined
  for await (const chunk of readHeldBlob(blob, { start, end: start + size }, exports, signal)) {
    // The hash is taken while the system writes.
    const written = sink(chunk)
    hash?.update(chunk)
    await written
    onBytes(chunk.length)
  }
  if (hash !== undefined && hash.digest('hex') !== digestHex(digest)) throw damagedHere(digest)
}

/** sha256 of each piece, in their order. Throws BundleError `damaged` if the blob is not what its digest says. */
export async function hashPieces(
  pieces: readonly PlacedEntry[],
  exports: Reader,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const [first] = pieces
  if (first === undefined) return []
  const { blob } = first
  const whole = createHash(digestAlgorithm(blob.digest))
  const hashes = pieces.map(() => createHash('sha256'))
  let position = 0
  for await (const chunk of readHeldBlob(blob, { start: 0, end: blob.size }, exports, signal)) {
    whole.update(chunk)
    for (const [at, { start, size }] of pieces.entries()) {
      const end = start + size
      hashes[at]?.update(chunk.subarray(Math.max(0, start - position), Math.max(0, end - position)))
    }
    position += chunk.length
  }
  if (whole.digest('hex') !== digestHex(blob.digest)) throw damagedHere(blob.digest)
  return hashes.map((hash) => `sha256:${hash.digest('hex')}` as Digest)
}
