import type { FileHandle } from 'node:fs/promises'
import { open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { StartError } from '../../core/start-error.ts'
import { partName } from '../bundle/find-bundles.ts'
import { parseBundleHeader } from '../bundle/parse-bundle-header.ts'
import { readBundleHeader } from './read-bundle-header.ts'

/** Where a chunk goes; its memory is the caller's again when it resolves. */
export type Sink = (chunk: Uint8Array) => Promise<void>

const TAR = '.tar'
/** Of what is being written. A killed export leaves such files, and the next one of the name removes them. */
const PARTIAL = '.partial'

/** The names of one export: `week34.tar`, or `week34.001.tar` and so on, and `week34.json` beside it. */
export class BundleFiles {
  readonly #out: string
  readonly #stem: string
  /** Under temporary names until all of them are there. */
  readonly #written: string[] = []

  constructor(out: string) {
    this.#out = out
    this.#stem = out.endsWith(TAR) ? out.slice(0, -TAR.length) : out
  }

  get header(): string {
    return `${this.#stem}.json`
  }

  /** `part` from 1, of `count`; without them the whole. */
  tar(part?: number, count = 0): string {
    if (part === undefined) return this.#out
    return partName(this.#stem, part, count)
  }

  /**
   * Throws StartError if a file of this export is there already. `force`: unless they can be replaced, which
   * no file can that is not of an export.
   */
  async refuseExisting(force: boolean): Promise<void> {
    for (const path of [this.#out, this.header, ...(await this.#parts())]) {
      // Whatever else keeps us from it will be told when it is written.
      const found = await stat(path).catch(() => undefined)
      if (found === undefined) continue
      if (found.isDirectory()) throw new StartError(`${path} is a directory: name a file in it`)
      if (!force) {
        throw new StartError(`${path} is there already: choose another name, or use --force`)
      }
      if (path === this.header) await refuseOther(path)
    }
  }

  /** Throws StartError if the volume has not so many bytes left, without what a killed export left there. */
  async refuseFull(bytes: number): Promise<void> {
    const directory = dirname(resolve(this.#out))
    const names = [this.#out, this.header, ...(await this.#parts(PARTIAL))]
    for (const path of names) await rm(partial(path), { force: true }).catch(() => {})
    const { bavail, bsize, blocks } = await statfs(directory).catch((cause: unknown) => {
      throw new StartError(`cannot write to ${directory}: ${reasonOf(cause)}`, { cause })
    })
    const free = bavail * bsize
    // Some file systems over a network tell nothing.
    if (blocks === 0 || free >= bytes) return
    throw new StartError(
      `${directory} has ${grouped(free)} bytes left, and this needs ${grouped(bytes)}: make room, write elsewhere, or carry less`,
    )
  }

  /** Under its temporary name, and brought to disk. Throws StartError where the disk refuses. */
  async write(path: string, fill: (sink: Sink) => Promise<void>): Promise<void> {
    const temporary = partial(path)
    try {
      await rm(temporary, { force: true })
      // Not through a link, and not into what another export is writing.
      const file = await open(temporary, 'wx')
      this.#written.push(path)
      try {
        await fill((chunk) => writeAll(file, chunk))
        await file.sync()
        await this.#refuseReplaced(file, path)
      } finally {
        await file.close()
      }
    } catch (cause) {
      if (!isRefusal(cause)) throw cause
      const hint = 'what was written of it is removed'
      throw new StartError(`cannot write ${path}: ${reasonOf(cause)}; ${hint}`, { cause })
    }
  }

  /** All that was written gets its name, and what an earlier export left under other parts' names goes. */
  async publish(): Promise<void> {
    const others = [this.#out, ...(await this.#parts())].filter(
      (path) => !this.#written.includes(path),
    )
    for (const path of this.#written) await rename(partial(path), path)
    for (const path of others) {
      if (path === this.#out || (await isBundle(path))) await rm(path, { force: true })
    }
    this.#written.length = 0
    const directory = await open(dirname(resolve(this.#out)))
    try {
      // A file system that cannot do this has no directory that could lose a name.
      await directory.sync().catch(() => {})
    } finally {
      await directory.close()
    }
  }

  /** Leaves nothing of what was not published. */
  async discard(): Promise<void> {
    for (const path of this.#written) await rm(partial(path), { force: true })
  }

  /** Two exports of one name would otherwise give it to what is half of one and half of the other. */
  async #refuseReplaced(file: FileHandle, path: string): Promise<void> {
    const [ours, there] = [await file.stat(), await stat(partial(path)).catch(() => undefined)]
    if (there?.ino === ours.ino) return
    this.#written.pop()
    throw new StartError(`another export writes to ${partial(path)} at this moment: wait for it`)
  }

  /** By their final names: those that are there, or are there with that ending. */
  async #parts(ending = ''): Promise<readonly string[]> {
    const directory = dirname(this.#stem)
    const prefix = `${basename(this.#stem)}.`
    const names = await readdir(directory).catch(() => [])
    return names
      .filter((name) => name.startsWith(prefix) && name.endsWith(ending))
      .map((name) => name.slice(0, name.length - ending.length))
      .filter((name) => /^\d{3,4}\.tar$/.test(name.slice(prefix.length)))
      .map((name) => join(directory, name))
  }
}

function grouped(n: number): string {
  return n.toLocaleString('en-US')
}

function partial(path: string): string {
  return `${path}${PARTIAL}`
}

/** Of a part under a name that this export has no use for, and that may be somebody's own. */
async function isBundle(path: string): Promise<boolean> {
  try {
    await readBundleHeader(path, new AbortController().signal)
    return true
  } catch {
    // Whatever it is, it is not ours to remove.
    return false
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let offset = 0; offset < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.length - offset)
    offset += bytesWritten
  }
}

/** `export -o package.tar` must not cost anybody a package.json. */
async function refuseOther(path: string): Promise<void> {
  try {
    parseBundleHeader(await readFile(path))
  } catch (cause) {
    throw new StartError(
      `${path} is there already, and is no list of an earlier export: choose another name`,
      { cause },
    )
  }
}

function isRefusal(reason: unknown): boolean {
  return reason instanceof Error && 'syscall' in reason && 'errno' in reason
}

function reasonOf(reason: unknown): string {
  const code = reason instanceof Error && 'code' in reason ? reason.code : undefined
  if (code === 'ENOSPC') return 'the volume is full'
  if (code === 'EFBIG') return 'its file system takes no file of this size (use --split)'
  return reason instanceof Error ? reason.message : String(reason)
}
