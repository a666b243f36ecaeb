import { describe, expect, it } from 'vitest'
import { blobEntry, parseEntryName, pieceEntry } from '../../../src/airgap/bundle/entry-name.ts'
import { digestOf } from '../../../src/oci/digest.ts'

const SHA256 = digestOf(Buffer.from('a'))
const SHA512 = digestOf(Buffer.from('a'), 'sha512')

describe('the names of a bundle', () => {
  it('are read back as what they were made of', () => {
    for (const digest of [SHA256, SHA512]) {
      expect(parseEntryName(blobEntry(digest))).toEqual({ kind: 'blob', digest })
      expect(parseEntryName(pieceEntry(digest, 17))).toEqual({ kind: 'piece', digest, piece: 17 })
    }
    expect(pieceEntry(SHA256, 17)).toBe(`${blobEntry(SHA256)}.0017`)
    expect(['oci-layout', 'index.json', 'mirror-bundle.json'].map(parseEntryName)).toEqual([
      { kind: 'layout' },
      { kind: 'index' },
      { kind: 'header' },
    ])
  })

  it.each([
    '',
    '.',
    './index.json',
    '/index.json',
    'index.json/',
    'INDEX.json',
    'blobs',
    'blobs/sha256/',
    '../blobs/sha256/x',
    `blobs/sha256/../${SHA256.slice(7)}`,
    `blobs/md5/${'a'.repeat(32)}`,
    `blobs/sha256/${'A'.repeat(64)}`,
    `blobs/sha256/${SHA512.slice(7)}`,
    `blobs/sha512/${SHA256.slice(7)}`,
    `${blobEntry(SHA256)}.0000`,
    `${blobEntry(SHA256)}.1`,
    `${blobEntry(SHA256)}.00001`,
    `${blobEntry(SHA256)}\n`,
    `${blobEntry(SHA256)}/`,
    `x/${blobEntry(SHA256)}`,
    'a'.repeat(100_000),
  ])('leave no place for %j', (name) => {
    expect(parseEntryName(name)).toBeUndefined()
  })
})
