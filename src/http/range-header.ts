import type { ByteRange, RangeSpec } from '../oci/byte-range.ts'
import { resolveRange } from '../oci/byte-range.ts'
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
 * Reads a `Range` header (RFC 9110 §14). `undefined`: no range in a unit that we know, send everything.
 * What is malformed is refused instead of ignored, because lazy pullers take a 200 for the range that they
 * asked for. Throws RegistryError 400.
 */
export function parseRange(header: string): readonly RangeSpec[] | undefined {
  // A server must ignore units that it does not know.
  if (!/^bytes\s*=/i.test(header)) return undefined
  const elements = header.slice(header.indexOf('=') + 1).split(',')
  if (elements.length > MAX_RANGES)
    throw malformed(`${elements.length} ranges, of which ${MAX_RANGES} are allowed`)
  // RFC 9110 §5.6.1.2: empty elements of a list are to be parsed and ignored.
  const specs = elements.map((element) => element.trim()).filter((element) => element !== '')
  if (specs.length === 0) throw malformed('it names no range')
  return specs.map(parseSpec)
}

/** Those that lie within a body of `size` bytes, in their order. Throws RangeNotSatisfiable if none does. */
export function satisfiable(specs: readonly RangeSpec[], size: number): readonly ByteRange[] {
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = resolveRange(spec, size)
    if (range !== undefined) ranges.push(range)
  }
  if (ranges.length === 0) throw new RangeNotSatisfiable(size)
  return ranges
}

/** `first-last`, `first-` or `-length`; fifteen digits are more bytes than any disk has. */
function parseSpec(text: string): RangeSpec {
  const [, start = '', end = ''] = /^(\d{0,15})-(\d{0,15})$/.exec(text) ?? []
  if (start === '' && end === '')
    throw malformed('it is not a list of first-last, first- or -length')
  if (start === '') return { suffix: Number(end) }
  const first = Number(start)
  return { first, last: end === '' ? undefined : Number(end) }
}

function malformed(why: string): RegistryError {
  return new RegistryError('UNSUPPORTED', `the Range header cannot be read: ${why}`, {
    status: 400,
  })
}
