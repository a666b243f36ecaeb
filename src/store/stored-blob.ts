import type { OpenBlob } from '../core/ports.ts'
import { DamagedBlob } from '../core/ports.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { File } from './fs.ts'
import { isErrno } from './fs.ts'
import { pumpFile } from './pump.ts'

/** A blob on disk, held open: evicting it meanwhile only takes its name away. */
export class StoredBlob implements OpenBlob {
  readonly size: number
  readonly #file: File
  readonly #pool: BufferPool

  constructor(file: File, size: number, pool: BufferPool) {
    this.#file = file
    this.size = size
    this.#pool = pool
  }

  async pump(
    range: ByteRange,
    write: (chunk: Uint8Array) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const source = { file: this.#file, readableTo: () => this.size }
    const end = Math.min(range.end, this.size)
    try {
      await pumpFile(source, { start: range.start, end }, write, this.#pool, signal)
    } catch (cause) {
      if (!isErrno(cause, 'EIO')) throw cause
      throw new DamagedBlob('the disk cannot read the file', { cause })
    }
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
