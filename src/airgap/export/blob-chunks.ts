import type { OpenBlob } from '../../core/ports.ts'
import type { ByteRange } from '../../oci/byte-range.ts'

/**
 * Bytes of an open blob for a `for await`; closes it at the end, however that comes. A chunk's memory is reused
 * after the next one is asked for; until then the one after it is being read.
 */
export class BlobChunks implements AsyncIterableIterator<Uint8Array, undefined, undefined> {
  readonly #blob: OpenBlob
  readonly #range: ByteRange
  readonly #signal: AbortSignal
  readonly #stopped = new AbortController()
  /** What there is to be taken, or how it ended. */
  #given = Promise.withResolvers<Uint8Array | undefined>()
  /** The chunk that was given is done with. */
  #done: PromiseWithResolvers<void> | undefined
  #pumped: Promise<void> | undefined
  #isClosed = false

  constructor(blob: OpenBlob, range: ByteRange, signal: AbortSignal) {
    this.#blob = blob
    this.#range = range
    this.#signal = signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isClosed) return { done: true, value: undefined }
    if (this.#pumped === undefined) {
      this.#pumped = this.#pump()
    } else {
      this.#given = Promise.withResolvers()
      this.#done?.resolve()
    }
    try {
      const chunk = await this.#given.promise
      if (chunk !== undefined) return { done: false, value: chunk }
    } catch (reason) {
      await this.return()
      throw reason
    }
    return this.return()
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#isClosed) {
      this.#isClosed = true
      const reason = new Error('nobody reads it any more')
      this.#stopped.abort(reason)
      this.#done?.reject(reason)
      await this.#pumped
      await this.#blob.close()
    }
    return { done: true, value: undefined }
  }

  async #pump(): Promise<void> {
    const signal = AbortSignal.any([this.#signal, this.#stopped.signal])
    try {
      await this.#blob.pump(this.#range, (chunk) => this.#give(chunk), signal)
      this.#given.resolve(undefined)
    } catch (reason) {
      // Whoever has left does not hear of it.
      this.#given.promise.catch(() => {})
      this.#given.reject(reason)
    }
  }

  #give(chunk: Uint8Array): Promise<void> {
    this.#done = Promise.withResolvers()
    this.#done.promise.catch(() => {})
    this.#given.resolve(chunk)
    return this.#done.promise
  }
}
