const BLOCK = 512

export interface TarFile {
  readonly path: string
  readonly bytes: Uint8Array
}

/** A ustar archive of plain files, without times or owners, so that it is the same on every machine. */
export function tarOf(files: readonly TarFile[]): Buffer {
  const parts: Uint8Array[] = []
  for (const { path, bytes } of files) {
    parts.push(header(path, bytes.length), bytes, Buffer.alloc(-bytes.length & (BLOCK - 1)))
  }
  parts.push(Buffer.alloc(2 * BLOCK))
  return Buffer.concat(parts)
}

/** POSIX ustar: name, mode, uid, gid, size, mtime, checksum, type, magic. Numbers are octal. */
function header(path: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.write(path, 0)
  block.write('0000644\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  block.write(`${octal(size, 11)}\0`, 124)
  block.write(`${octal(0, 11)}\0`, 136)
  // The checksum is taken as if its own field were blanks.
  block.write('        ', 148)
  block.write('0', 156)
  block.write('ustar\x0000', 257)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${octal(sum, 6)}\0 `, 148)
  return block
}

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width, '0')
}
