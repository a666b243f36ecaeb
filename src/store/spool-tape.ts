import { dirname } from 'node:path'
import type { Relief } from '../core/ports.ts'
import { NoSpace } from '../core/ports.ts'
import type { Seat } from '../core/ring.ts'
import { newSeat, Ring } from '../core/ring.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { File, Fs } from './fs.ts'
import { asNoSpace, isErrno } from './fs.ts'
import type { PumpSource, Write } from './pump.ts'
import { pumpFile, pumpRing } from './pump.ts'

/** Bytes given to memory at a time: its readers can take them before it asks for more room. */
const RING_PIECE = 64 * 1024

export interface TapeOptions {
  readonly path: string
  readonly fs: Fs
  readonly pool: BufferPool
  /** Without it the tape fails where the disk does. */
  readonly relief: Relief | undefined
}

/**
 * Where the bytes of one download are: in a file, or, where the disk takes no more, the rest in a ring in
 * memory, or all of them there. Readers take the first part from the file and go on in the ring.
 */
export class SpoolTape {
  readonly #options: TapeOptions
  readonly #file: File | undefined
  readonly #seats = new Set<Seat>()
  #hadReaders = false
  #ring: Ring | undefined
  #length: number
  /** Tells readers that there is more. */
  #onGrown: () => void = () => {}

  /** `length` bytes are in the file already. */
  constructor(options: TapeOptions, storage: File | Ring, length: number) {
    this.#options = options
    this.#length = length
    if (storage instanceof Ring) this.#goOnIn(storage)
    else this.#file = storage
  }

  static async create(options: TapeOptions): Promise<SpoolTape> {
    const { fs, path, relief } = options
    let storage: File | Ring | undefined = relief?.ring
    while (storage === undefined) {
      try {
        storage = await openFile(fs, path)
      } catch (cause) {
        storage = await relieve(relief, cause)
      }
    }
    return new SpoolTape(options, storage, 0)
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#length
  }

  get isInFile(): boolean {
    return this.#ring === undefined
  }

  get hasFile(): boolean {
    return this.#file !== undefined
  }

  /** The first bytes are gone. */
  get isPast(): boolean {
    return this.#ring?.isWhole === false
  }

  /** How many; `undefined` before the first one has come. */
  get readers(): number | undefined {
    return this.#hadReaders ? this.#seats.size : undefined
  }

  set onGrown(tell: () => void) {
    this.#onGrown = tell
  }

  /** Waits where only slow readers could make room. Throws NoSpace when it cannot go on. */
  async put(chunks: readonly Uint8Array[]): Promise<void> {
    const given = this.#options.relief?.ring
    if (this.#ring === undefined && given !== undefined) this.#goOnIn(given)
    let rest = chunks
    while (rest.length > 0 && this.#ring === undefined && this.#file !== undefined) {
      try {
        const { bytesWritten } = await this.#file.writev(rest, this.#length)
        this.#length += bytesWritten
        rest = skipBytes(rest, bytesWritten)
      } catch (cause) {
        const ring = await relieve(this.#options.relief, cause)
        if (ring !== undefined) this.#goOnIn(ring)
      }
    }
    if (this.#ring !== undefined) await this.#remember(this.#ring, rest)
    this.#onGrown()
  }

  /** A reader has come; nothing that it may still need is dropped before it leaves. */
  enter(): Seat {
    const seat = newSeat()
    this.#seats.add(seat)
    this.#hadReaders = true
    this.#ring?.move()
    return seat
  }

  /** False if it has left already. */
  leave(seat: Seat): boolean {
    const wasThere = this.#seats.delete(seat)
    this.#ring?.move()
    return wasThere
  }

  /** `readableTo` as in PumpSource, about all of the bytes. */
  async pump(
    seat: Seat,
    range: ByteRange,
    write: Write,
    readableTo: PumpSource['readableTo'],
    signal: AbortSignal,
  ): Promise<void> {
    const endOfFile = () => this.#ring?.origin ?? Infinity
    if (this.#file !== undefined && range.start < endOfFile()) {
      const inFile = async (position: number, until: AbortSignal) => {
        seat.position = position
        const limit = await readableTo(position, until)
        return Math.min(limit, endOfFile())
      }
      const source = { file: this.#file, readableTo: inFile }
      await pumpFile(source, range, write, this.#options.pool, signal)
    }
    if (this.#ring === undefined) return
    await pumpRing({ ring: this.#ring, seat, readableTo }, range, write, signal)
  }

  /** Whoever waits for room fails. */
  stop(reason: unknown): void {
    this.#ring?.stop(reason)
  }

  async close(): Promise<void> {
    this.#ring?.close()
    await this.#file?.close()
  }

  #goOnIn(ring: Ring): void {
    ring.begin(this.#length, this.#seats, this.#hadReaders)
    this.#ring = ring
  }

  async #remember(ring: Ring, chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      for (let start = 0; start < chunk.length; start += RING_PIECE) {
        const piece = chunk.subarray(start, start + RING_PIECE)
        await ring.add(piece)
        this.#length += piece.length
        this.#onGrown()
      }
    }
  }
}

/** Its directory is made for an upstream's first download. */
async function openFile(fs: Fs, path: string): Promise<File> {
  try {
    return await fs.open(path, 'w+', 0o600)
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT')) throw cause
    await fs.mkdir(dirname(path))
    return fs.open(path, 'w+', 0o600)
  }
}

/** Memory to go on with, or `undefined`: the disk may take it now. Throws what cannot be helped. */
async function relieve(relief: Relief | undefined, cause: unknown): Promise<Ring | undefined> {
  const reason = asNoSpace(cause)
  if (relief === undefined || !(reason instanceof NoSpace)) throw reason
  return relief.refused(reason)
}

/** What is left of the chunks after a write that may have taken only a part. */
function skipBytes(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes
  const rest: Uint8Array[] = []
  for (const chunk of chunks) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      rest.push(chunk.subarray(skip))
      skip = 0
    }
  }
  return rest
}
