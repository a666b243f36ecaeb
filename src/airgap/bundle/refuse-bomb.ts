import { BundleError } from './bundle-error.ts'

/** Of lists and objects in one another. */
const MAX_DEPTH = 32
/** Of both, and of their members: more than the largest list that we write has. */
const MAX_CONTAINERS = 1_000_000
const MAX_MEMBERS = 4_000_000

const [QUOTE, ESCAPE, COMMA] = [0x22, 0x5c, 0x2c]
const OPENS: ReadonlySet<number> = new Set([0x5b, 0x7b])
const CLOSES: ReadonlySet<number> = new Set([0x5d, 0x7d])

/**
 * JSON of a few megabytes may take gigabytes once it is parsed, or more of the stack than there is. Throws
 * BundleError for what no list of a bundle looks like. Whether it is JSON at all, the parser says.
 */
export function refuseBomb(bytes: Uint8Array, name: string): void {
  let depth = 0
  let containers = 0
  let members = 0
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    if (byte === QUOTE) at = endOfText(bytes, at)
    else if (byte === COMMA) members += 1
    else if (CLOSES.has(byte)) depth -= 1
    else if (OPENS.has(byte)) {
      depth += 1
      containers += 1
    } else continue
    if (depth > MAX_DEPTH || containers > MAX_CONTAINERS || members > MAX_MEMBERS) {
      throw new BundleError('refused', `${name} has more in it than a list of blobs has`)
    }
  }
}

/** Where the text that begins there has its closing quote. */
function endOfText(bytes: Uint8Array, start: number): number {
  let end = bytes.indexOf(QUOTE, start + 1)
  while (end >= 0 && isEscaped(bytes, end)) end = bytes.indexOf(QUOTE, end + 1)
  return end < 0 ? bytes.length : end
}

function isEscaped(bytes: Uint8Array, quote: number): boolean {
  let first = quote
  while (bytes[first - 1] === ESCAPE) first -= 1
  return (quote - first) % 2 === 1
}
