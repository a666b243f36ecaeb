/** Bytes in order. `skip`, where passing over them is cheaper than reading them, says how many there were. */
export interface ByteSource extends AsyncIterable<Uint8Array> {
  skip?(bytes: number): Promise<number>
}

/** Takes bytes out of a source in the portions that a format needs. */
export class ByteReader {
  readonly #source: ByteSource
  readonly #iterator: AsyncIterator<Uint8Array>
  #left: Uint8Array = new Uint8Array(0)
  #offset = 0

  constructor(source: ByteSource) {
    this.#source = source
    this.#iterator = source[Symbol.asyncIterator]()
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset
  }

  /** So many bytes, or fewer at the end; a copy, which stays as it is. */
  async read(bytes: number): Promise<Uint8Array> {
    const whole = new Uint8Array(bytes)
    let filled = 0
    while (filled < bytes) {
      const chunk = await this.chunk(bytes - filled)
      if (chunk === undefined) break
      whole.set(chunk, filled)
      filled += chunk.length
    }
    return whole.subarray(0, filled)
  }

  /** The next ones, at most so many; `undefined` at the end. */
  async chunk(most: number): Promise<Uint8Array | undefined> {
    while (this.#left.length === 0) {
      const { done, value } = await this.#iterator.next()
      if (done === true) return undefined
      this.#left = value
    }
    const chunk = this.#left.subarray(0, most)
    this.#left = this.#left.subarray(chunk.length)
    this.#offset += chunk.length
    return chunk
  }

  /** Returns how many there were to pass over. */
  async skip(bytes: number): Promise<number> {
    let passed = Math.min(bytes, this.#left.length)
    this.#left = this.#left.subarray(passed)
    this.#offset += passed
    if (passed < bytes && this.#source.skip !== undefined) {
      const further = await this.#source.skip(bytes - passed)
      this.#offset += further
      return passed + further
    }
    while (passed < bytes) {
      const chunk = await this.chunk(bytes - passed)
      if (chunk === undefined) break
      passed += chunk.length
    }
    return passed
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}
