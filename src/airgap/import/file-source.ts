import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import type { ByteSource } from '../bundle/byte-reader.ts'

/** Bytes of a read where all is wanted, and of the first one where something has been passed over. */
const LARGE = 1024 * 1024
const SMALL = 4 * 1024

interface Read {
  readonly position: number
  readonly chunk: Promise<Uint8Array>
}

/**
 * A file from its beginning, of which parts are passed over without being read. A chunk's memory is reused after
 * the next one is asked for; meanwhile that one is read.
 */
export class FileSource implements ByteSource {
  readonly #path: string
  readonly #buffers: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)]
  #file: FileHandle | undefined
  #position = 0
  #step = SMALL

  constructor(path: string) {
    this.#path = path
  }

  async skip(bytes: number): Promise<number> {
    const { size } = await (await this.#open()).stat()
    const passed = Math.max(0, Math.min(bytes, size - this.#position))
    this.#position += passed
    this.#step = SMALL
    return passed
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let ahead: Read | undefined
    try {
      for (;;) {
        // What was read ahead is of no use where it was passed over since.
        const isUseful = ahead?.position === this.#position
        if (!isUseful) await ahead?.chunk
        const chunk = await (isUseful && ahead ? ahead : this.#read()).chunk
        if (chunk.length === 0) return
        this.#position += chunk.length
        // Where little is read at a time, the next step is likely to pass over the rest.
        ahead = this.#step === LARGE ? this.#read() : undefined
        yield chunk
      }
    } finally {
      // Nobody is left to see whether that would have failed.
      await ahead?.chunk.catch(() => {})
      await this.#file?.close()
      this.#file = undefined
    }
  }

  #read(): Read {
    const position = this.#position
    const chunk = this.#fill(position)
    // Seen by whoever asks for it.
    chunk.catch(() => {})
    return { position, chunk }
  }

  async #fill(position: number): Promise<Uint8Array> {
    this.#buffers.reverse()
    this.#step = Math.min(LARGE, this.#step * 4)
    if (this.#buffers[0].length < this.#step) this.#buffers[0] = Buffer.allocUnsafeSlow(this.#step)
    const [buffer] = this.#buffers
    const length = this.#step
    const { bytesRead } = await (await this.#open()).read(buffer, 0, length, position)
    return buffer.subarray(0, bytesRead)
  }

  async #open(): Promise<FileHandle> {
    this.#file ??= await open(this.#path, 'r')
    return this.#file
  }
}
