import type { FreeSpace } from './config.ts'
import type { Reading } from './reading.ts'
import { expected, read } from './reading.ts'

const UNITS: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['tb', 1e12],
  ['pb', 1e15],
  ['kib', 2 ** 10],
  ['mib', 2 ** 20],
  ['gib', 2 ** 30],
  ['tib', 2 ** 40],
  ['pib', 2 ** 50],
])
const NAMES = ['PiB', 'PB', 'TiB', 'TB', 'GiB', 'GB', 'MiB', 'MB', 'KiB', 'kB']
const SIZE = /^(\d{1,16}(?:\.\d{1,6})?) ?([a-zA-Z]{0,3})$/
const PERCENT = /^(\d{1,2}(?:\.\d{1,3})?) ?%$/

export const SIZE_FORMS = 'a size such as "200GB", "512MiB" or a number of bytes'
export const FREE_SPACE_FORMS = 'a part of the disk such as "10%", or a size such as "10GB"'

/** Bytes. `GB` is 10^9 and `GiB` is 2^30; upper and lower case mean the same. */
export function readSize(given: string | number): Reading<number> {
  const bytes = toBytes(String(given))
  return bytes === undefined ? expected(SIZE_FORMS) : read(bytes)
}

export function readFreeSpace(given: string | number): Reading<FreeSpace> {
  const percent = typeof given === 'string' ? PERCENT.exec(given)?.[1] : undefined
  if (percent !== undefined) return read({ ratio: Number(percent) / 100 })
  const bytes = toBytes(String(given))
  return bytes === undefined ? expected(FREE_SPACE_FORMS) : read({ bytes })
}

/** The largest unit that needs no fraction, so that it reads back as the same number of bytes. */
export function formatSize(bytes: number): string {
  for (const name of NAMES) {
    const unit = UNITS.get(name.toLowerCase()) ?? 1
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${name}`
  }
  return `${bytes}B`
}

export function formatFreeSpace(space: FreeSpace): string {
  if ('bytes' in space) return formatSize(space.bytes)
  return `${Number((space.ratio * 100).toFixed(3))}%`
}

function toBytes(text: string): number | undefined {
  const match = SIZE.exec(text)
  const unit = UNITS.get((match?.[2] ?? '').toLowerCase() || 'b')
  if (match === null || unit === undefined) return undefined
  const bytes = Math.round(Number(match[1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
