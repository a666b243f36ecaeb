import { BundleError } from './bundle-error.ts'

export const TAR_BLOCK = 512

/** One block of POSIX ustar, or of GNU tar, as far as plain archives have them. */
export interface TarHeader {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'link' | 'attributes' | 'long-name' | 'long-target'
  /** Of what follows, in bytes. */
  readonly size: number
  /** Of a link. */
  readonly target: string
}

/** Everything else there is has no place in an archive of images. */
const KINDS: Readonly<Record<string, TarHeader['kind']>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'link',
  '2': 'link',
  '5': 'directory',
  x: 'attributes',
  L: 'long-name',
  K: 'long-target',
}
const REFUSED: Readonly<Record<string, string>> = {
  '3': 'a device',
  '4': 'a device',
  '6': 'a fifo',
  g: 'attributes for all entries',
  S: 'a sparse file',
}

/** Where the fields are, and how long they are. */
const NAME = [0, 100] as const
const SIZE = [124, 12] as const
const CHECKSUM = [148, 8] as const
const TYPE = 156
const TARGET = [157, 100] as const
const MAGIC = [257, 8] as const
const PREFIX = [345, 155] as const
const POSIX = 'ustar\x0000'
const GNU = 'ustar  \0'

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Throws BundleError for what is no header, or one of an entry that no archive of images has. */
export function parseTarHeader(block: Uint8Array, offset: number): TarHeader {
  const where = `the header at byte ${offset}`
  if (readOctal(block, CHECKSUM) !== sumOf(block)) {
    throw new BundleError('refused', `${where} is damaged, or this is no tar archive`)
  }
  const magic = latin(block, MAGIC)
  if (magic !== POSIX && magic !== GNU) {
    throw new BundleError('refused', `${where} is of a kind of tar archive that is not read`)
  }
  const prefix = magic === POSIX ? readText(block, PREFIX, where) : ''
  const last = readText(block, NAME, where)
  const name = prefix === '' ? last : `${prefix}/${last}`
  const type = String.fromCharCode(block[TYPE] ?? 0)
  const kind = KINDS[type]
  const shown = JSON.stringify(name)
  if (kind === undefined) {
    const what = REFUSED[type] ?? `of the unknown type ${JSON.stringify(type)}`
    throw new BundleError('refused', `${shown} is ${what}`)
  }
  const size = readSize(block)
  if (size === undefined) throw new BundleError('refused', `${shown} states no size`)
  if (size > 0 && (kind === 'directory' || kind === 'link')) {
    throw new BundleError('refused', `${shown} is a ${kind}, and states ${size} bytes`)
  }
  return { name, kind, size, target: readText(block, TARGET, where) }
}

/** The checksum is taken as if its own field were blanks. */
function sumOf(block: Uint8Array): number {
  let sum = 0
  for (const byte of block) sum += byte
  const [start, length] = CHECKSUM
  for (const byte of block.subarray(start, start + length)) sum += 32 - byte
  return sum
}

type Field = readonly [start: number, length: number]

/** GNU tar writes what does not fit into octal digits as a number of base 256. */
function readSize(block: Uint8Array): number | undefined {
  const [start, length] = SIZE
  if (((block[start] ?? 0) & 0x80) === 0) return readOctal(block, SIZE)
  if (block[start] !== 0x80) return undefined
  let value = 0
  for (const byte of block.subarray(start + 1, start + length)) value = value * 256 + byte
  return Number.isSafeInteger(value) ? value : undefined
}

function readOctal(block: Uint8Array, field: Field): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(latin(block, field))?.[1]
  return digits === undefined ? undefined : parseInt(digits, 8)
}

function readText(block: Uint8Array, [start, length]: Field, where: string): string {
  const field = block.subarray(start, start + length)
  const end = field.indexOf(0)
  try {
    return decoder.decode(end < 0 ? field : field.subarray(0, end))
  } catch (cause) {
    throw new BundleError('refused', `${where} has a name that is not UTF-8`, { cause })
  }
}

function latin(block: Uint8Array, [start, length]: Field): string {
  return String.fromCharCode(...block.subarray(start, start + length))
}
