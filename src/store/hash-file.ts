import type { Hash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { File } from './fs.ts'

const BUFFER_BYTES = 256 * 1024

/** Feeds the first `length` bytes of the file to the hash, and lets others have their turn in between. */
export async function hashFile(
  file: File,
  length: number,
  hash: Hash,
  signal?: AbortSignal,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(BUFFER_BYTES, length)))
  for (let position = 0; position < length;) {
    signal?.throwIfAborted()
    const wanted = Math.min(buffer.length, length - position)
    const { bytesRead } = await file.read(buffer, 0, wanted, position)
    if (bytesRead === 0) throw new Error(`the file ends at byte ${position} instead of ${length}`)
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
    await setImmediate()
  }
}
