import { BundleError } from './bundle-error.ts'
import type { ByteSource } from './byte-reader.ts'
import { ByteReader } from './byte-reader.ts'
import { parseTarAttributes } from './tar-attributes.ts'
import type { TarHeader } from './tar-header.ts'
import { parseTarHeader, TAR_BLOCK } from './tar-header.ts'

/** Longer than any path and its attributes. */
const MAX_ATTRIBUTES = 64 * 1024
/** More than any archive of images has: its names are held in memory, to find those that come twice. */
const MAX_ENTRIES = 500_000
/** All of them are remembered. Paths are no longer than this. */
const MAX_NAME = 4_096
/** Writers fill the last record with zeros: 10 KiB is usual. */
const MAX_FILLING = 1024 * 1024
const MAX_SHOWN = 200

export interface TarEntry {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'link'
  /** Bytes. */
  readonly size: number
  /** Of a link: where it leads, as it is written. */
  readonly target: string
  /** Once; what is not read of it is skipped. Throws BundleError `truncated`. */
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * The entries of a tar archive, in their order. Strict, because what two readers understand differently may
 * be one thing for whoever looked at it and another for us: unknown types, devices, sparse files, wrong
 * checksums, names that come twice, and anything after the end are refused. Throws BundleError.
 */
export async function* readTar(source: ByteSource): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(source)
  const names = new Set<string>()
  let last = 'its beginning'
  try {
    for (;;) {
      const header = await readHeader(reader, last)
      if (header === undefined) return
      const { name, size } = header
      last = JSON.stringify(name.slice(0, MAX_SHOWN))
      if (name.length > MAX_NAME) {
        throw new BundleError('refused', `${last}… has a name of ${name.length} characters`)
      }
      if (names.has(name)) throw new BundleError('refused', `${last} comes twice`)
      if (names.size >= MAX_ENTRIES) {
        throw new BundleError('refused', `there are more than ${MAX_ENTRIES} entries`)
      }
      names.add(name)
      const body = new Body(reader, size, last)
      yield { ...header, body }
      await body.pass()
    }
  } finally {
    await reader.close()
  }
}

type Header = Pick<TarEntry, 'name' | 'kind' | 'size' | 'target'>

/** `undefined` at the end. What a header says of the next one is taken into that one. */
async function readHeader(reader: ByteReader, last: string): Promise<Header | undefined> {
  const told = new Map<TarHeader['kind'], Uint8Array>()
  for (;;) {
    const block = await readBlock(reader, last)
    if (isZero(block)) {
      if (told.size > 0)
        throw new BundleError('refused', `attributes after ${last} are of no entry`)
      await readEnd(reader, last)
      return undefined
    }
    const header = parseTarHeader(block, reader.offset - TAR_BLOCK)
    const { kind } = header
    if (kind === 'file' || kind === 'directory' || kind === 'link') {
      return applyTold({ ...header, kind }, told)
    }
    if (told.has(kind)) throw new BundleError('refused', `the entry after ${last} is named twice`)
    if (header.size > MAX_ATTRIBUTES) {
      throw new BundleError(
        'refused',
        `the entry after ${last} has ${header.size} bytes of attributes`,
      )
    }
    const bytes = await reader.read(header.size)
    const padding = paddingOf(header.size)
    const isWhole = bytes.length === header.size && (await reader.skip(padding)) === padding
    if (!isWhole) throw truncated(last)
    told.set(kind, bytes)
  }
}

function applyTold(header: Header, told: ReadonlyMap<TarHeader['kind'], Uint8Array>): Header {
  const attributes = parseTarAttributes(told.get('attributes') ?? new Uint8Array(0))
  const longName = told.get('long-name')
  const longTarget = told.get('long-target')
  const { kind } = header
  const size = attributes.size ?? header.size
  const name = attributes.path ?? (longName ? toText(longName) : header.name)
  const target = attributes.linkpath ?? (longTarget ? toText(longTarget) : header.target)
  if (size > 0 && kind !== 'file') {
    throw new BundleError(
      'refused',
      `${JSON.stringify(name)} is a ${kind}, and states ${size} bytes`,
    )
  }
  return { name, kind, size, target }
}

/** GNU tar ends it with a zero byte. */
function toText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(
      end < 0 ? bytes : bytes.subarray(0, end),
    )
  } catch (cause) {
    throw new BundleError('refused', 'the name of an entry is not UTF-8', { cause })
  }
}

async function readBlock(reader: ByteReader, last: string): Promise<Uint8Array> {
  const block = await reader.read(TAR_BLOCK)
  if (block.length === TAR_BLOCK) return block
  throw truncated(last)
}

/** A second block of zeros, then zeros only. */
async function readEnd(reader: ByteReader, last: string): Promise<void> {
  if (!isZero(await readBlock(reader, last))) {
    throw new BundleError('refused', `there is something after the end, which follows ${last}`)
  }
  let filling = 0
  for (;;) {
    const chunk = await reader.chunk(TAR_BLOCK)
    if (chunk === undefined) return
    filling += chunk.length
    if (!isZero(chunk) || filling > MAX_FILLING) {
      throw new BundleError('refused', `there is something after the end, which follows ${last}`)
    }
  }
}

/** The bytes of one entry, which have to be passed before the next one can be read. */
class Body implements AsyncIterable<Uint8Array> {
  readonly #reader: ByteReader
  readonly #size: number
  readonly #name: string
  #left: number

  constructor(reader: ByteReader, size: number, name: string) {
    this.#reader = reader
    this.#size = size
    this.#name = name
    this.#left = size
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const chunk = await this.#reader.chunk(this.#left)
      if (chunk === undefined) throw this.#short()
      this.#left -= chunk.length
      yield chunk
    }
  }

  async pass(): Promise<void> {
    const rest = this.#left + paddingOf(this.#size)
    const passed = await this.#reader.skip(rest)
    this.#left = Math.max(0, this.#left - passed)
    if (passed < rest) throw this.#short()
  }

  #short(): BundleError {
    const came = this.#size - this.#left
    const what = `${this.#name} ends after ${came} of ${this.#size} bytes`
    return new BundleError('truncated', `the archive is cut short: ${what}`)
  }
}

function paddingOf(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

function truncated(last: string): BundleError {
  return new BundleError('truncated', `the archive is cut short after ${last}`)
}
