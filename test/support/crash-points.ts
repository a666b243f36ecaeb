import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { File, Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'

const CHANGING = new Set<string>([
  'open',
  'rename',
  'unlink',
  'chmod',
  'mkdir',
  'remove',
  'writev',
  'truncate',
] satisfies (keyof Fs | keyof File)[])

/** What a kill at that moment would have left on disk. */
export interface CrashPoint {
  /** `after rename blobs/…` */
  readonly name: string
  /** A copy of the data directory. */
  readonly path: string
}

/**
 * Copies the data directory before and after every call that changes it. A process that is killed leaves
 * what it has written to the kernel, so that each copy is what a kill at that moment leaves behind.
 */
export class CrashPoints {
  readonly fs: Fs
  readonly points: CrashPoint[] = []
  readonly #dir: string
  readonly #copies: string

  /** `copies`: a directory outside of `dir`. */
  constructor(dir: string, copies: string) {
    this.#dir = dir
    this.#copies = copies
    this.fs = {
      ...this.#watch(nodeFs, ''),
      open: async (path, flags, mode) => {
        const open = () => nodeFs.open(path, flags, mode)
        const file = flags === 'r' ? await open() : await this.#around('open', path, open)
        return this.#watch(file, path)
      },
    }
  }

  #watch<T extends object>(target: T, of: string): T {
    const watched: Record<string, unknown> = {}
    for (const name of [
      'rename',
      'unlink',
      'chmod',
      'mkdir',
      'remove',
      'list',
      'stat',
      'space',
    ].concat(['read', 'writev', 'truncate', 'datasync', 'close'])) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') continue
      const real = (args: unknown[]) => Reflect.apply(value, target, args) as Promise<unknown>
      watched[name] = (...args: unknown[]) =>
        CHANGING.has(name)
          ? this.#around(name, typeof args[0] === 'string' ? args[0] : of, () => real(args))
          : real(args)
    }
    return watched as T
  }

  async #around<T>(operation: string, path: string, call: () => Promise<T>): Promise<T> {
    const name = `${operation} ${path.replace(`${this.#dir}/`, '')}`
    this.#copy(`before ${name}`)
    try {
      return await call()
    } finally {
      this.#copy(`after ${name}`)
    }
  }

  #copy(name: string): void {
    const path = join(this.#copies, String(this.points.length))
    cpSync(this.#dir, path, { recursive: true })
    this.points.push({ name, path })
  }
}
