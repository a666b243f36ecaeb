import { open, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { ByteSource } from '../bundle/byte-reader.ts'
import { FileSource } from './file-source.ts'
import type { Compression } from './inflate.ts'
import { detectCompression, inflate } from './inflate.ts'

/** A file, a directory or a stream that images are to be taken from. */
export type ArchiveFile =
  | { readonly kind: 'file'; readonly name: string; readonly open: () => ByteSource }
  | { readonly kind: 'directory'; readonly name: string; readonly path: string }
  | { readonly kind: 'stream'; readonly name: string; readonly source: ByteSource }

/** By its path, or `-`. Unpacks what is compressed. Throws MaintenanceError for what cannot be read. */
export async function openArchive(
  name: string,
  cwd: string,
  stdin: AsyncIterable<Uint8Array> | undefined,
): Promise<ArchiveFile> {
  if (name === '-') return openStream(stdin)
  const path = resolve(cwd, name)
  try {
    const found = await stat(path)
    if (found.isDirectory()) return { kind: 'directory', name: basename(path), path }
    if (!found.isFile()) {
      throw new MaintenanceError('invalid', `${name} is neither a file nor a directory`)
    }
    const compression = detectCompression(await readStart(path))
    const plain = () => new FileSource(path)
    const packed = (how: Compression) => () => inflate(new FileSource(path), how)
    return { kind: 'file', name: basename(path), open: compression ? packed(compression) : plain }
  } catch (cause) {
    if (cause instanceof MaintenanceError) throw cause
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new MaintenanceError('invalid', `${name} cannot be read: ${said}`)
  }
}

async function openStream(stdin: AsyncIterable<Uint8Array> | undefined): Promise<ArchiveFile> {
  if (stdin === undefined) {
    const hint = 'pipe an archive into it, or name a file'
    throw new MaintenanceError(
      'invalid',
      `- is standard input, and nothing comes from there: ${hint}`,
    )
  }
  const iterator = stdin[Symbol.asyncIterator]()
  const first = await iterator.next()
  const start = first.done === true ? new Uint8Array(0) : first.value
  const source = resumed(start, iterator)
  const compression = detectCompression(start)
  const name = 'standard input'
  return { kind: 'stream', name, source: compression ? inflate(source, compression) : source }
}

async function* resumed(
  start: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield start
    for (;;) {
      const { done, value } = await iterator.next()
      if (done === true) return
      yield value
    }
  } finally {
    await iterator.return?.()
  }
}

async function readStart(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    const start = new Uint8Array(4)
    const { bytesRead } = await file.read(start, 0, start.length, 0)
    return start.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
