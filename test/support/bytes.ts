import { createCipheriv, createHash } from 'node:crypto'

/** Bytes that can be read from any position, and need not exist in memory. */
export interface Content {
  readonly size: number
  /** From `start` up to, not including, `end`. */
  read(start: number, end: number): Iterable<Uint8Array>
}

const CHUNK_BYTES = 256 * 1024
const BLOCK_BYTES = 16

/** The same bytes for the same seed, on every machine; they do not compress. */
export function seededBytes(seed: string, length: number): Uint8Array {
  const bytes = Buffer.alloc(length)
  let offset = 0
  for (const chunk of seededContent(seed, length).read(0, length)) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}

/** As `seededBytes`, made while it is read: a counter-mode cipher can start at any block. */
export function seededContent(seed: string, size: number): Content {
  const key = createHash('sha256').update(seed).digest().subarray(0, BLOCK_BYTES)
  return {
    size,
    *read(start, end) {
      const counter = Buffer.alloc(BLOCK_BYTES)
      counter.writeBigUInt64BE(BigInt(Math.floor(start / BLOCK_BYTES)), 8)
      const cipher = createCipheriv('aes-128-ctr', key, counter)
      const zeros = Buffer.alloc(CHUNK_BYTES)
      cipher.update(zeros.subarray(0, start % BLOCK_BYTES))
      for (let at = start; at < end; at += CHUNK_BYTES) {
        yield cipher.update(zeros.subarray(0, Math.min(CHUNK_BYTES, end - at)))
      }
    },
  }
}

export function bytesContent(bytes: Uint8Array): Content {
  return {
    size: bytes.length,
    *read(start, end) {
      for (let at = start; at < end; at += CHUNK_BYTES) {
        yield bytes.subarray(at, Math.min(at + CHUNK_BYTES, end))
      }
    },
  }
}

export function readAll(content: Content): Buffer {
  return Buffer.concat([...content.read(0, content.size)])
}
