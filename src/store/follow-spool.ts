import type { Seat } from '../core/ring.ts'
import type { ByteRange } from '../oci/byte-range.ts'
import type { PumpSource, Write } from './pump.ts'
import type { SpoolTail } from './spool-tail.ts'
import type { SpoolTape } from './spool-tape.ts'

/** One reader of a download. */
export interface Follower {
  readonly tail: SpoolTail
  readonly tape: SpoolTape
  readonly seat: Seat
  /** As in PumpSource, about all of the bytes, wherever they are. */
  readonly readableTo: PumpSource['readableTo']
  /** Resolves when there is more on the tape, and now and then without that. */
  readonly grown: (signal: AbortSignal) => Promise<void>
}

/**
 * Sends a range of a download: from memory as long as the reader keeps up, and what has left it from the
 * tape. One that has fallen behind comes back to memory when it has caught up.
 */
export async function followSpool(
  { tail, tape, seat, readableTo, grown }: Follower,
  range: ByteRange,
  write: Write,
  signal: AbortSignal,
): Promise<void> {
  let position = range.start
  while (position < range.end) {
    signal.throwIfAborted()
    seat.position = position
    const limit = Math.min(await readableTo(position, signal), range.end)
    if (limit <= position) return
    if (!tape.isInFile) {
      const rest = { start: position, end: range.end }
      return tape.pump(seat, rest, write, readableTo, signal)
    }
    const sent = await sendHeld(tail, position, limit, write)
    const onTape = Math.min(tape.length, limit)
    if (sent > 0) position += sent
    else if (onTape <= position) await grown(signal)
    else {
      const part = { start: position, end: onTape }
      await tape.pump(seat, part, write, () => onTape, signal)
      position = onTape
    }
  }
}

/** How many bytes were in memory, and have been sent. */
async function sendHeld(
  tail: SpoolTail,
  position: number,
  limit: number,
  write: Write,
): Promise<number> {
  const held = tail.hold(position)
  if (held === undefined) return 0
  try {
    const bytes = held.bytes.subarray(0, limit - position)
    await write(bytes)
    return bytes.length
  } finally {
    held.release()
  }
}
