import { describe, expect, it } from 'vitest'
import {
  digestAlgorithm,
  digestHex,
  digestOf,
  matchesDigest,
  parseDigest,
} from '../../src/oci/digest.ts'

const SHA256 = `sha256:${'a1'.repeat(32)}`
const SHA512 = `sha512:${'0f'.repeat(64)}`

describe('parseDigest', () => {
  it.each([SHA256, SHA512])('takes %s', (text) => {
    expect(parseDigest(text)).toBe(text)
  })

  it.each([
    ['nothing', ''],
    ['no algorithm', 'a1'.repeat(32)],
    ['another algorithm', `md5:${'a1'.repeat(16)}`],
    ['an algorithm that cannot be verified here', `blake3:${'a1'.repeat(32)}`],
    ['upper case', SHA256.toUpperCase()],
    ['upper-case hexadecimal', `sha256:${'A1'.repeat(32)}`],
    ['63 characters', SHA256.slice(0, -1)],
    ['65 characters', `${SHA256}a`],
    ['the length of the other algorithm', `sha512:${'a1'.repeat(32)}`],
    ['a path', `sha256:../../${'a1'.repeat(29)}`],
    ['a line break at the end', `${SHA256.slice(0, -1)}\n`],
  ])('refuses %s', (_, text) => {
    expect(parseDigest(text)).toBeUndefined()
  })
})

describe('a digest', () => {
  const bytes = new TextEncoder().encode('hello')

  it('has an algorithm and hexadecimal characters', () => {
    const digest = digestOf(bytes, 'sha512')
    expect(digestAlgorithm(digest)).toBe('sha512')
    expect(digestHex(digest)).toHaveLength(128)
    expect(digestAlgorithm(digestOf(bytes))).toBe('sha256')
  })

  it.each(['sha256', 'sha512'] as const)('tells its own %s bytes from others', (algorithm) => {
    const digest = digestOf(bytes, algorithm)
    expect(matchesDigest(bytes, digest)).toBe(true)
    expect(matchesDigest(bytes.subarray(1), digest)).toBe(false)
  })
})
