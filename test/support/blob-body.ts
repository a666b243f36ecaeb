import type { BlobBody } from '../../src/core/upstream.ts'

/** A body of these pieces, the memory of which is worth nothing once they have been taken. */
export function bodyOfPieces(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): BlobBody {
  return {
    async pump(take) {
      for await (const piece of pieces) {
        const memory = Uint8Array.from(piece)
        const ready = take(memory)
        memory.fill(0)
        await ready
      }
    },
  }
}

/** Takes the first piece of a body and leaves. Returns its length. */
export async function takeFirst(body: BlobBody): Promise<number> {
  let length = 0
  const enough = new Error('enough')
  try {
    await body.pump((bytes) => {
      length += bytes.length
      throw enough
    })
  } catch (reason) {
    if (reason !== enough) throw reason
  }
  return length
}
