import type { OpenBlob } from './ports.ts'

/** Reads a small blob whole, and closes it. `size` in bytes. */
export async function readAll(blob: OpenBlob, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  let offset = 0
  try {
    await blob.pump(
      { start: 0, end: size },
      async (chunk) => {
        bytes.set(chunk, offset)
        offset += chunk.length
      },
      new AbortController().signal,
    )
  } finally {
    await blob.close()
  }
  return bytes
}
