/** Bytes that are handed on together: network chunks are small, and each would become a write of its own. */
const PORTION = 512 * 1024
/** Of what an import sends at a time. */
const MAX_FREE = 2

type Pair = [Buffer, Buffer]

/** Memory for bodies that are received one after the other: a new one for each would pile up until it is collected. */
export class Portions {
  readonly #free: Pair[] = []

  take(size: number): Pair {
    if (size < PORTION) return [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)]
    return this.#free.pop() ?? [Buffer.allocUnsafeSlow(PORTION), Buffer.allocUnsafeSlow(PORTION)]
  }

  give(pair: Pair): void {
    if (pair[0].length === PORTION && this.#free.length < MAX_FREE) this.#free.push(pair)
  }
}

/**
 * A body of at most `size` bytes in larger pieces. The memory of one is reused after the next one is asked for;
 * meanwhile that one is received. The body is not ended: the answer goes over the same connection.
 */
export async function* inPortions(
  body: AsyncIterable<Buffer>,
  size: number,
  portions: Portions,
): AsyncGenerator<Uint8Array> {
  const buffers = portions.take(Math.max(1, size))
  const [{ length }] = buffers
  const iterator = body[Symbol.asyncIterator]()
  let left: Buffer = Buffer.alloc(0)
  const fill = async (): Promise<Buffer> => {
    buffers.reverse()
    const [buffer] = buffers
    let filled = 0
    while (filled < length) {
      if (left.length === 0) {
        const { done, value } = await iterator.next()
        if (done === true) break
        left = value
      }
      const copied = left.copy(buffer, filled)
      left = left.subarray(copied)
      filled += copied
    }
    return buffer.subarray(0, filled)
  }
  let ahead = fill()
  for (;;) {
    const portion = await ahead
    if (portion.length === 0) break
    ahead = fill()
    // Seen by whoever asks for it.
    ahead.catch(() => {})
    yield portion
  }
  // Only at its end: of one that was given up, a part may still be on its way.
  portions.give(buffers)
}
