const BLOCK = 512

/** An entry of a tar as an attacker may write it: nothing of it has to fit together. */
export interface RawEntry {
  readonly name: string
  readonly bytes?: Uint8Array | string
  /** What the header says, if it is not the number of bytes. */
  readonly size?: number
  /** The one character of POSIX; default '0', a plain file. */
  readonly type?: string
  readonly target?: string
  /** Default POSIX'. */
  readonly magic?: string
  readonly prefix?: string
  /** Added to the right one. */
  readonly checksumOff?: number
  /** Bytes of the size field, instead of octal digits. */
  readonly rawSize?: string
}

/** The entries, without an end. */
export function rawTar(entries: readonly RawEntry[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => {
      const bytes = Buffer.from(entry.bytes ?? '')
      return [headerOf(entry, bytes.length), bytes, Buffer.alloc(-bytes.length & (BLOCK - 1))]
    }),
  )
}

/** What every archive ends with. */
export const TAR_ZEROS = Buffer.alloc(2 * BLOCK)

/** A record of a PAX header. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length
  return `${length}${rest}`
}

function headerOf(entry: RawEntry, length: number): Buffer {
  const { name, type = '0', target = '', magic = 'ustar\x0000', prefix = '' } = entry
  const block = Buffer.alloc(BLOCK)
  block.write(name.slice(0, 100), 0)
  block.write('0000644\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  const size = `${(entry.size ?? length).toString(8).padStart(11, '0')}\0`
  block.write(entry.rawSize ?? size, 124, 'latin1')
  block.write('00000000000\0', 136)
  block.write('        ', 148)
  block.write(type, 156, 'latin1')
  block.write(target.slice(0, 100), 157)
  block.write(magic, 257, 'latin1')
  block.write(prefix.slice(0, 155), 345)
  let sum = entry.checksumOff ?? 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
