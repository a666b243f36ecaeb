import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, readDuration } from '../../src/config/duration.ts'
import { formatListenAddress, readListenAddress } from '../../src/config/listen-address.ts'
import { formatFreeSpace, formatSize, readFreeSpace, readSize } from '../../src/config/size.ts'

describe('durations', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['30d', 2_592_000_000],
    ['0s', 0],
  ])('reads %s', (text, value) => {
    expect(readDuration(text)).toEqual({ value })
    expect(formatDuration(value)).toBe(text)
  })

  it.each(['', '5', 'm', '1.5h', '-1s', '5m5m', '30m1h', '5 m', '5M', '1w', `${'9'.repeat(40)}s`])(
    'refuses %j',
    (text) => {
      expect(readDuration(text)).toHaveProperty('expected')
    },
  )

  it('are written so that they read back', () => {
    fc.assert(
      fc.property(fc.nat({ max: 3650 * 86_400_000 }), (ms) => {
        expect(readDuration(formatDuration(ms))).toEqual({ value: ms })
      }),
    )
  })
})

describe('sizes', () => {
  it.each([
    ['10GB', 10_000_000_000],
    ['512MiB', 536_870_912],
    ['1.5 TB', 1_500_000_000_000],
    ['200gb', 200_000_000_000],
    ['1kB', 1000],
    ['7B', 7],
    ['1048576', 1_048_576],
    [42, 42],
    ['0', 0],
  ])('reads %s', (given, value) => {
    expect(readSize(given)).toEqual({ value })
  })

  it.each(['', 'GB', '10G', '10 GX', '-1', '1e9', -1, 1.5e300, '9007199254740993PB', '10%', NaN])(
    'refuses %j',
    (given) => {
      expect(readSize(given)).toHaveProperty('expected')
    },
  )

  it('are written so that they read back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(readSize(formatSize(bytes))).toEqual({ value: bytes })
      }),
    )
  })

  it('may be a part of the volume, as free space', () => {
    expect(readFreeSpace('10%')).toEqual({ value: { ratio: 0.1 } })
    expect(readFreeSpace('2.5 %')).toEqual({ value: { ratio: 0.025 } })
    expect(readFreeSpace('10GB')).toEqual({ value: { bytes: 10_000_000_000 } })
    expect(readFreeSpace('0')).toEqual({ value: { bytes: 0 } })
    expect(formatFreeSpace({ ratio: 0.025 })).toBe('2.5%')
    expect(formatFreeSpace({ ratio: 0.07 })).toBe('7%')
  })
})

describe('listen addresses', () => {
  it.each([
    ['127.0.0.1:5000', '127.0.0.1', 5000],
    ['0.0.0.0:5000', '0.0.0.0', 5000],
    ['[::1]:5000', '::1', 5000],
    ['Mirror.lan:80', 'mirror.lan', 80],
    [':5000', '', 5000],
    ['5000', '', 5000],
    [5000, '', 5000],
    ['127.0.0.1:0', '127.0.0.1', 0],
  ])('reads %s', (given, host, port) => {
    expect(readListenAddress(given)).toEqual({ value: { host, port } })
    expect(readListenAddress(formatListenAddress({ host, port }))).toEqual({
      value: { host, port },
    })
  })

  it.each([
    '',
    ':',
    '127.0.0.1',
    'http://x:1',
    '::1:5000',
    '[::1]',
    '[1.2.3.4]:5',
    'a b:5',
    ':65536',
    -1,
  ])('refuses %j', (given) => {
    expect(readListenAddress(given)).toHaveProperty('expected')
  })
})
