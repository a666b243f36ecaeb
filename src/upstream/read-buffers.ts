import type { OnReadOpts, Socket } from 'node:net'

/** Bytes that one read of a socket can bring. */
const BUFFER_BYTES = 64 * 1024
/** Enough for as many downloads as keep a few cores busy; buffers beyond that are collected. */
const MAX_FREE = 32

/**
 * What sockets read into, used again and again. A buffer for each read, as Node makes them, costs more than
 * the reading: it is what drives the collector through a download.
 *
 * Whoever has taken bytes out of one gives it back, and it is used again if these were the last in it. Then
 * nothing refers to it: a head that came before them was read to its end, and nothing came after them.
 */
export class ReadBuffers {
  readonly #free: Uint8Array[] = []
  /** Those that hold something, and up to where. */
  readonly #filled = new WeakMap<
    ArrayBufferLike,
    { readonly all: Uint8Array; readonly to: number }
  >()

  /** For the options of a socket, of one or of many. */
  readonly onread: OnReadOpts = readingInto(
    () => this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES),
    (all, to) => this.#filled.set(all.buffer, { all, to }),
  )

  /** Nobody needs these bytes, which a socket has read, any more. */
  giveBack(bytes: Uint8Array): void {
    const filled = this.#filled.get(bytes.buffer)
    if (filled === undefined || bytes.byteOffset + bytes.byteLength !== filled.to) return
    this.#filled.delete(bytes.buffer)
    if (this.#free.length < MAX_FREE) this.#free.push(filled.all)
  }
}

function readingInto(
  buffer: () => Uint8Array,
  onFilled: (all: Uint8Array, to: number) => void,
): OnReadOpts {
  return {
    buffer,
    // Called as the socket's own method. Does what a socket does with a buffer that it has made itself.
    callback(this: Socket, length: number, all: Uint8Array): boolean {
      onFilled(all, length)
      return this.push(all.subarray(0, length))
    },
  }
}
