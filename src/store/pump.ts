import { DamagedBlob } from '../core/ports.ts'
import type { Ring, Seat } from '../core/ring.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { File } from './fs.ts'

/** A file of which a part can be read already. */
export interface PumpSource {
  readonly file: File
  /**
   * How far the file can be read, in bytes from its start: more than `position`, or, when nothing more
   * will come, its end. Waits for bytes that are still under way; rejects if they will not come.
   */
  readableTo(position: number, signal: AbortSignal): number | Promise<number>
}

export type Write = (chunk: Uint8Array) => Promise<void>

/**
 * Sends a range with positional reads into two reused buffers: while one is being written to the client,
 * the other is filled. On two cores this sends two to four times what a stream of 64 KiB chunks does.
 */
export async function pumpFile(
  source: PumpSource,
  range: ByteRange,
  write: Write,
  pool: BufferPool,
  signal: AbortSignal,
): Promise<void> {
  const pair = pool.take(range.end - range.start)
  let written: Promise<void> = Promise.resolve()
  let buffer = pair.first
  let position = range.start
  try {
    while (position < range.end) {
      signal.throwIfAborted()
      const limit = Math.min(await source.readableTo(position, signal), range.end)
      if (limit <= position) break
      const length = Math.min(pool.share(pair), limit - position)
      const { bytesRead } = await source.file.read(buffer, 0, length, position)
      if (bytesRead === 0) {
        throw new DamagedBlob(`the file ends at byte ${position} instead of ${limit}`)
      }
      // At most one write is under way, so the other buffer is free by now.
      await written
      written = write(buffer.subarray(0, bytesRead))
      // Its failure is seen at the next turn or below; until then it must not count as unhandled.
      written.catch(() => {})
      buffer = buffer === pair.first ? pair.second : pair.first
      position += bytesRead
    }
    await written
  } finally {
    // The last write may still be reading from its buffer.
    await written.catch(() => {})
    pool.give(pair)
  }
}

/** The end of a download that is in memory only. */
export interface RingSource {
  readonly ring: Ring
  readonly seat: Seat
  /** As that of a file. */
  readonly readableTo: PumpSource['readableTo']
}

/** Sends what lies in the ring of the range, which its reader's seat keeps there until it is written. */
export async function pumpRing(
  { ring, seat, readableTo }: RingSource,
  range: ByteRange,
  write: Write,
  signal: AbortSignal,
): Promise<void> {
  let position = Math.max(range.start, ring.origin)
  while (position < range.end) {
    signal.throwIfAborted()
    seat.position = position
    ring.move()
    const limit = Math.min(await readableTo(position, signal), range.end)
    if (limit <= position) return
    const bytes = ring.at(position, seat).subarray(0, limit - position)
    await write(bytes)
    position += bytes.length
  }
  seat.position = position
  ring.move()
}
