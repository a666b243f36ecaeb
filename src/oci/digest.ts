import { createHash } from 'node:crypto'

/** `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal characters. */
export type Digest = string & { readonly __brand: 'Digest' }

export type DigestAlgorithm = 'sha256' | 'sha512'

const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 }

/**
 * The two algorithms that the image specification registers and that we can verify. Anything else is
 * `undefined`: content that cannot be verified is not worth keeping.
 */
export function parseDigest(text: string): Digest | undefined {
  const algorithm = text.slice(0, 6)
  if (text[6] !== ':' || !isAlgorithm(algorithm)) return undefined
  if (text.length !== 7 + HEX_LENGTH[algorithm]) return undefined
  return /^[a-f0-9]+$/.test(text.slice(7)) ? (text as Digest) : undefined
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512') ? 'sha512' : 'sha256'
}

export function digestHex(digest: Digest): string {
  return digest.slice(7)
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest
}

/** Whether the bytes are those that the digest names. */
export function matchesDigest(bytes: Uint8Array, digest: Digest): boolean {
  return digestOf(bytes, digestAlgorithm(digest)) === digest
}

function isAlgorithm(text: string): text is DigestAlgorithm {
  return text === 'sha256' || text === 'sha512'
}
