import { TAR_BLOCK } from './tar-header.ts'

/** Two blocks of zeros. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK)

/** What eleven octal digits can tell: 8 GiB. */
const MAX_USTAR_SIZE = 0o77777777777
const MAX_USTAR_NAME = 100
/** `FIELD: [start, digits]` of POSIX ustar; each number is octal and ends with a zero byte. */
const MODE = [100, 7] as const
const OWNER = [108, 7] as const
const GROUP = [116, 7] as const
const SIZE = [124, 11] as const
const TIME = [136, 11] as const

/**
 * What comes before the bytes of a plain file: one block, or three where a name or a size needs POSIX pax. No
 * times and no owners, so that the same content is the same archive. `name` in ASCII, `size` in bytes.
 */
export function formatTarHead(name: string, size: number): Uint8Array {
  const told = [
    ...(name.length > MAX_USTAR_NAME ? [attribute('path', name)] : []),
    ...(size > MAX_USTAR_SIZE ? [attribute('size', String(size))] : []),
  ].join('')
  const block = formatBlock(name, size, '0')
  if (told === '') return block
  const attributes = Buffer.from(told)
  const head = formatBlock('PaxHeader', attributes.length, 'x')
  return Buffer.concat([head, attributes, tarPadding(attributes.length), block])
}

/** What comes after them. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK)
}

/** Bytes that the entry takes in the archive. */
export function tarEntryBytes(name: string, size: number): number {
  return formatTarHead(name, size).length + size + tarPadding(size).length
}

/** A record begins with its own length, of which the digits are a part. */
function attribute(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (String(length).length + rest.length !== length)
    length = String(length).length + rest.length
  return `${length}${rest}`
}

function formatBlock(name: string, size: number, type: '0' | 'x'): Uint8Array {
  const block = Buffer.alloc(TAR_BLOCK)
  block.write(name.slice(0, MAX_USTAR_NAME), 0, 'latin1')
  const numbers = [
    [MODE, 0o644],
    [OWNER, 0],
    [GROUP, 0],
    // What does not fit is told before.
    [SIZE, size > MAX_USTAR_SIZE ? 0 : size],
    [TIME, 0],
  ] as const
  for (const [[start, digits], value] of numbers) block.write(octal(value, digits), start, 'latin1')
  block.write(type, 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  // The checksum is taken as if its own field were blanks.
  block.write('        ', 148, 'latin1')
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${octal(sum, 6)}\0 `, 148, 'latin1')
  return block
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
