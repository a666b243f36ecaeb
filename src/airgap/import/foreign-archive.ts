import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BundleError } from '../bundle/bundle-error.ts'
import { readSmall } from '../bundle/read-small.ts'
import type { TarEntry } from '../bundle/read-tar.ts'
import { readTar } from '../bundle/read-tar.ts'
import type { ArchiveFile } from './archive-file.ts'
import { FileSource } from './file-source.ts'
import { inFile } from './in-file.ts'

/** An archive that another tool made, in a file or a directory: it can be read more than once. */
export type ForeignFile = Exclude<ArchiveFile, { readonly kind: 'stream' }>

/** The names below it, with their sizes in bytes, and links with where they lead. */
export interface Listing {
  readonly files: ReadonlyMap<string, number>
  readonly links: ReadonlyMap<string, string>
}

/** Deeper than any of these formats. */
const MAX_DEPTH = 4
const MAX_TARGET = 4096

/** Looks through it without reading what its entries hold. Throws BundleError. */
export async function listEntries(file: ForeignFile, signal: AbortSignal): Promise<Listing> {
  const files = new Map<string, number>()
  const links = new Map<string, string>()
  await inFile(file.name, async () => {
    for await (const { kind, name, size, target } of entriesOf(file)) {
      signal.throwIfAborted()
      if (kind === 'directory') continue
      if (files.has(name) || links.has(name)) {
        throw new BundleError('refused', `${JSON.stringify(name)} comes twice`)
      }
      if (kind === 'file') files.set(name, size)
      else links.set(name, target.slice(0, MAX_TARGET))
    }
  })
  return { files, links }
}

/** The plain files among its entries, in their order. Throws BundleError. */
export async function* readEntries(file: ForeignFile): AsyncGenerator<TarEntry> {
  for await (const entry of entriesOf(file)) if (entry.kind === 'file') yield entry
}

/** Some of them, whole. Those that are larger than `limit` bytes are refused. Throws BundleError. */
export async function collectEntries(
  file: ForeignFile,
  names: ReadonlySet<string>,
  limit: number,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>()
  if (names.size === 0) return found
  await inFile(file.name, async () => {
    for await (const entry of readEntries(file)) {
      if (!names.has(entry.name)) continue
      if (entry.size > limit) {
        const most = `${limit} at most are read`
        throw new BundleError('refused', `${entry.name} has ${entry.size} bytes, ${most}`)
      }
      found.set(entry.name, await readSmall(entry))
      if (found.size === names.size) return
    }
  })
  return found
}

async function* entriesOf(file: ForeignFile): AsyncGenerator<TarEntry> {
  const entries = file.kind === 'file' ? readTar(file.open()) : walk(file.path, '', 0)
  for await (const entry of entries) yield { ...entry, name: checkName(entry.name) }
}

/** `./blobs/` → `blobs`. Nothing is ever written by such a name, and a wrong one tells what the archive is for. */
function checkName(name: string): string {
  const plain = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '')
  const shown = JSON.stringify(name)
  // Names are told on terminals, where a control character may be a command.
  if (/\p{Cc}/u.test(plain)) throw new BundleError('refused', `${shown} is no name of a file`)
  const isSafe = !plain.startsWith('/') && !plain.includes('\\')
  if (isSafe && !plain.split('/').includes('..')) return plain
  throw new BundleError('refused', `${shown} leads out of the archive`)
}

/** As if it were a tar: links and everything that is no file are refused there, too. */
async function* walk(root: string, below: string, depth: number): AsyncGenerator<TarEntry> {
  const found: Dirent[] = await readdir(join(root, below), { withFileTypes: true })
  for (const entry of found.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) yield* walk(root, name, depth + 1)
      continue
    }
    if (!entry.isFile())
      throw new BundleError('refused', `${JSON.stringify(name)} is no plain file`)
    const path = join(root, name)
    const { size } = await lstat(path)
    yield { name, kind: 'file', size, target: '', body: exactly(new FileSource(path), size, name) }
  }
}

/** It may change while it is read. */
async function* exactly(
  source: AsyncIterable<Uint8Array>,
  size: number,
  name: string,
): AsyncGenerator<Uint8Array> {
  let came = 0
  for await (const chunk of source) {
    came += chunk.length
    if (came > size) throw new BundleError('refused', `${name} has grown while it was read`)
    yield chunk
  }
  if (came < size) throw new BundleError('truncated', `${name} ends after ${came} of ${size} bytes`)
}
