import type { ByteRange } from '../oci/byte-range.ts'
import { RegistryError } from '../oci/registry-error.ts'

/** More parts than any lazy puller asks for; each costs us a header. */
const MAX_RANGES = 1000

/** The ranges are all beyond the end of a blob of `size` bytes; the answer needs a Content-Range that says so. */
export class RangeNotSatisfiable extends RegistryError {
  readonly size: number

  constructor(size: number) {
    super('SIZE_INVALID', `none of the requested ranges lies within the blob's ${size} bytes`)
    this.size = size
  }
}

/**
 * Reads a `Range` header (RFC 9110 §14) for a body of `size` bytes. `undefined`: no range that we know,
 * send everything. What is malformed is refused instead of ignored, because lazy pullers take a 200 for
 * the range that they asked for. Throws RegistryError 400, and RangeNotSatisfiable.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): readonly ByteRange[] | undefined {
  const specs = rangeSpecs(header)
  if (specs === undefined) return undefined
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = resolve(spec, size)
    if (range !== undefined) ranges.push(range)
  }
  if (ranges.length === 0) throw new RangeNotSatisfiable(size)
  return ranges
}

/** Whether the request is for a part: then the answer has to know how long the whole is. */
export function isRanged(header: string | undefined): boolean {
  return rangeSpecs(header) !== undefined
}

function rangeSpecs(header: string | undefined): readonly string[] | undefined {
  // A server must ignore units that it does not know.
  if (header === undefined || !/^bytes\s*=/i.test(header)) return undefined
  const specs = header
    .slice(header.indexOf('=') + 1)
    .split(',')
    .map((spec) => spec.trim())
  if (specs.length > MAX_RANGES)
    throw malformed(`${specs.length} ranges, of which ${MAX_RANGES} are allowed`)
  if (!specs.every(isSpec)) throw malformed('it is not a list of first-last, first- or -length')
  return specs
}

/** `first-last`, `first-` or `-length`; fifteen digits are more bytes than any disk has. */
function isSpec(spec: string): boolean {
  const match = /^(\d{0,15})-(\d{0,15})$/.exec(spec)
  if (match === null || spec === '-') return false
  const [, first, last] = match
  return !first || !last || Number(first) <= Number(last)
}

function resolve(spec: string, size: number): ByteRange | undefined {
  const [first = '', last = ''] = spec.split('-')
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? undefined : { start: size - length, end: size }
  }
  const start = Number(first)
  if (start >= size) return undefined
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) }
}

function malformed(why: string): RegistryError {
  return new RegistryError('UNSUPPORTED', `the Range header cannot be read: ${why}`, {
    status: 400,
  })
}
