import { describe, expect, it } from 'vitest'
import { formatPlatform, isWanted, parsePlatform, readPlatform } from '../../src/oci/platform.ts'

function platform(text: string) {
  const parsed = parsePlatform(text)
  if (parsed === undefined) throw new Error(`no platform: ${text}`)
  return parsed
}

describe('parsePlatform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['LINUX/x86_64', 'linux/amd64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm/v7', 'linux/arm/v7'],
  ])('reads %s as %s', (text, shown) => {
    expect(formatPlatform(platform(text))).toBe(shown)
  })

  it.each(['', 'linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'linux/a b', 'linux/../etc'])(
    'refuses %j',
    (text) => {
      expect(parsePlatform(text)).toBeUndefined()
    },
  )
})

describe('readPlatform', () => {
  it('takes unknown/unknown, which BuildKit gives to provenance, for none', () => {
    expect(readPlatform({ os: 'unknown', architecture: 'unknown' })).toBeUndefined()
  })

  it('reads an entry without a variant', () => {
    const read = readPlatform({ os: 'linux', architecture: 'arm64', variant: '' })
    expect(read).toEqual({ os: 'linux', architecture: 'arm64' })
  })
})

describe('isWanted', () => {
  it.each([
    ['linux/arm64', ['linux/arm64/v8'], true],
    ['linux/arm64/v8', ['linux/arm64'], true],
    ['linux/arm/v6', ['linux/arm'], true],
    ['linux/arm/v6', ['linux/arm/v7'], false],
    ['linux/amd64', ['linux/arm64', 'linux/amd64'], true],
    ['windows/amd64', ['linux/amd64'], false],
    ['linux/amd64', [], false],
  ])('%s of %j is %j', (has, wanted, expected) => {
    expect(isWanted(platform(has), wanted.map(platform))).toBe(expected)
  })

  it('wants everything of "all"', () => {
    expect(isWanted(platform('plan9/mips'), 'all')).toBe(true)
  })
})
