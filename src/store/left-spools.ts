import { join } from 'node:path'
import type { Fs } from './fs.ts'
import type { Layout } from './layout.ts'

export interface Left {
  /** Bytes. */
  readonly size: number
  /** Of the last write to it, in ms since the epoch. */
  readonly at: number
}

/**
 * The spool files that belong to no download now: what earlier ones left, to be resumed if anyone asks. They
 * count towards the limits of the store, and are the first to go when there has to be room.
 */
export class LeftSpools {
  readonly #fs: Fs
  readonly #files = new Map<string, Left>()
  #bytes = 0

  private constructor(fs: Fs) {
    this.#fs = fs
  }

  static async open(fs: Fs, layout: Layout): Promise<LeftSpools> {
    const left = new LeftSpools(fs)
    for (const upstream of await fs.list(layout.spool)) {
      const names = await fs.list(join(layout.spool, upstream))
      await Promise.all(names.map((name) => left.note(join(layout.spool, upstream, name))))
    }
    return left
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Paths, oldest first. */
  paths(): readonly string[] {
    return [...this.#files].toSorted(([, a], [, b]) => a.at - b.at).map(([path]) => path)
  }

  /** Looks at what is at the path, which no download has. */
  async note(path: string): Promise<Left | undefined> {
    try {
      const { size, mtimeMs: at } = await this.#fs.stat(path)
      this.take(path)
      this.#files.set(path, { size, at })
      this.#bytes += size
      return { size, at }
    } catch {
      // Nothing there, as after most downloads; or a disk that does not tell, which then has no limits either.
      return undefined
    }
  }

  has(path: string): boolean {
    return this.#files.has(path)
  }

  /** It is nobody's no more. Returns its bytes. */
  take(path: string): number {
    const size = this.#files.get(path)?.size ?? 0
    this.#files.delete(path)
    this.#bytes -= size
    return size
  }
}
