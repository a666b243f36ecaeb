import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Digest } from '../../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../../oci/digest.ts'
import { BundleError } from './bundle-error.ts'
import type { BundleEntry } from './bundle-handlers.ts'
import type { BundleHeader } from './bundle-header.ts'
import { readBundle } from './read-bundle.ts'

/** What was found in one tar of a bundle: plain data. Sizes in bytes. */
export interface BundleCheck {
  readonly file: string
  /** `damaged`: bytes are others than they should be; `incomplete`: some are missing; `refused`: it is no bundle. */
  readonly state: 'right' | 'damaged' | 'incomplete' | 'refused'
  /** Absent where its header could not be read. */
  readonly bundle?: CheckedBundle
  /** What was read and is right. */
  readonly blobs: number
  readonly bytes: number
  readonly problems: readonly string[]
}

interface CheckedBundle {
  readonly id: Digest
  readonly created: number
  readonly images: number
  /** That it needs and does not hold in any part. */
  readonly requires: number
  /** From 1, of a bundle in parts. */
  readonly part?: number
  readonly parts?: number
}

/** Blocks of this size are hashed at the speed of the disk. */
const CHUNK_BYTES = 1024 * 1024

/**
 * Reads one tar of a bundle to its end, and compares every byte of it with what its header says. It needs no
 * other part. Never throws BundleError: what is wrong is in the answer.
 */
export async function verifyBundle(
  file: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<BundleCheck> {
  const check = new Check(onBytes, signal)
  const source = createReadStream(file, { highWaterMark: CHUNK_BYTES })
  try {
    await readBundle(source, check, signal)
  } catch (reason) {
    if (!(reason instanceof BundleError)) throw reason
    return { file, ...check.end(reason) }
  } finally {
    source.destroy()
  }
  return { file, ...check.end(undefined) }
}

function describeHeader(header: BundleHeader): CheckedBundle {
  const { id, created, images, requires, part, parts } = header
  return {
    id,
    created,
    images: images.filter(({ subject }) => subject === undefined).length,
    requires: requires.length,
    ...(part !== undefined && { part }),
    ...(parts !== undefined && { parts: parts.count }),
  }
}

class Check {
  readonly #onBytes: (bytes: number) => void
  readonly #signal: AbortSignal
  readonly #damaged: string[] = []
  readonly #absent: string[] = []
  #header: BundleHeader | undefined
  /** Of the pieces: what each has to be by itself. */
  #pieces: ReadonlyMap<Digest, readonly Digest[]> = new Map()
  #blobs = 0
  #bytes = 0

  constructor(onBytes: (bytes: number) => void, signal: AbortSignal) {
    this.#onBytes = onBytes
    this.#signal = signal
  }

  async header(header: BundleHeader): Promise<void> {
    this.#header = header
    this.#pieces = new Map(
      header.blobs.map(({ digest, pieces = [] }) => [digest, pieces.map((piece) => piece.digest)]),
    )
    const told = new Set([...header.blobs, ...header.requires].map(({ digest }) => digest))
    const absent = header.images.filter(({ manifest }) => !told.has(manifest.digest))
    this.#absent.push(...absent.map(({ image }) => `${image} is listed, and its manifest is not`))
  }

  async blob({ name, digest, piece }: BundleEntry, body: AsyncIterable<Uint8Array>): Promise<void> {
    const expected = piece === undefined ? digest : this.#pieces.get(digest)?.[piece - 1]
    const hash = createHash(digestAlgorithm(expected ?? digest))
    let bytes = 0
    for await (const chunk of body) {
      this.#signal.throwIfAborted()
      hash.update(chunk)
      bytes += chunk.length
      this.#onBytes(chunk.length)
    }
    if (expected === undefined || hash.digest('hex') !== digestHex(expected)) {
      this.#damaged.push(`${name} is damaged: its bytes are not those of its digest`)
      return
    }
    this.#blobs += 1
    this.#bytes += bytes
  }

  end(reason: BundleError | undefined): Omit<BundleCheck, 'file'> {
    const problems = [
      ...this.#damaged,
      ...this.#absent,
      ...(reason === undefined ? [] : [reason.message]),
    ]
    const rest = reason === undefined && this.#absent.length > 0 ? 'incomplete' : stateOf(reason)
    return {
      state: this.#damaged.length > 0 ? 'damaged' : rest,
      ...(this.#header && { bundle: describeHeader(this.#header) }),
      blobs: this.#blobs,
      bytes: this.#bytes,
      problems,
    }
  }
}

function stateOf(reason: BundleError | undefined): BundleCheck['state'] {
  if (reason === undefined) return 'right'
  if (reason.problem === 'damaged') return 'damaged'
  return reason.problem === 'truncated' ? 'incomplete' : 'refused'
}
