import { randomUUID } from 'node:crypto'
import type { ByteRange } from '../oci/byte-range.ts'

/** A `multipart/byteranges` body (RFC 9110 §14.6): what goes before each range, and after the last. */
export interface MultipartBody {
  readonly contentType: string
  /** Bytes in all. */
  readonly length: number
  readonly parts: readonly { readonly head: Uint8Array; readonly range: ByteRange }[]
  readonly tail: Uint8Array
}

/**
 * One part per range, in the order of the request, overlapping or not: containers/image counts the parts
 * and fails when some were merged.
 */
export function multipartBody(
  ranges: readonly ByteRange[],
  size: number,
  contentType: string,
): MultipartBody {
  const boundary = randomUUID()
  const parts = ranges.map((range, index) => {
    const lead = index === 0 ? '' : '\r\n'
    const where = `bytes ${range.start}-${range.end - 1}/${size}`
    const head = `${lead}--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: ${where}\r\n\r\n`
    return { head: Buffer.from(head), range }
  })
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const sizes = parts.map(({ head, range }) => head.length + range.end - range.start)
  const length = sizes.reduce((sum, bytes) => sum + bytes, tail.length)
  return { contentType: `multipart/byteranges; boundary=${boundary}`, length, parts, tail }
}
