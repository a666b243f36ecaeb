import type { File, Fs } from '../../src/store/fs.ts'
import { nodeFs } from '../../src/store/fs.ts'

/** A call to the file system, or to a file that it has opened: `rename`, `file.writev`. */
export type FsOperation = keyof Fs | `file.${keyof File}`

export interface FsCall {
  readonly operation: FsOperation
  /** The first argument that is a path; for a file the path that it was opened with. */
  readonly path: string
}

export interface FsFault {
  /** Default any. */
  readonly operation?: FsOperation
  /** Only calls whose path has this in it. */
  readonly path?: string
  /** How many matching calls pass first. Default none. */
  readonly skip?: number
  /** How many fail. Default all that follow. */
  readonly times?: number
  /** What the system says: ENOSPC, EIO, … */
  readonly code: string
  /** Of a `file.writev`: so many bytes reach the file before it fails. */
  readonly afterBytes?: number
}

export interface FsInjection {
  /** How many calls have failed so far. */
  readonly hits: number
  remove(): void
}

interface Entry {
  readonly fault: FsFault
  passed: number
  hits: number
}

/** A real file system that fails on demand: the Nth call of an operation, or every call from a moment on. */
export class FailingFs {
  readonly fs: Fs
  /** Every call so far, failed or not. */
  readonly calls: FsCall[] = []
  #entries: Entry[] = []

  constructor(inner: Fs = nodeFs) {
    const watched = watch(inner, (operation, args, call) =>
      this.#run({ operation: operation as keyof Fs, path: pathOf(args) }, args, call),
    )
    this.fs = {
      ...watched,
      open: async (path, ...rest) => this.#watchFile(await watched.open(path, ...rest), path),
    }
  }

  fail(fault: FsFault): FsInjection {
    const entry: Entry = { fault, passed: 0, hits: 0 }
    this.#entries.push(entry)
    return {
      get hits() {
        return entry.hits
      },
      remove: () => {
        this.#entries = this.#entries.filter((other) => other !== entry)
      },
    }
  }

  /** The disk works again. */
  heal(): void {
    this.#entries = []
  }

  #watchFile(file: File, path: string): File {
    return watch(file, (operation, args, call) =>
      this.#run({ operation: `file.${operation}` as FsOperation, path }, args, call),
    )
  }

  async #run(
    call: FsCall,
    args: readonly unknown[],
    real: (args: readonly unknown[]) => unknown,
  ): Promise<unknown> {
    this.calls.push(call)
    const fault = this.#take(call)
    if (fault === undefined) return real(args)
    // Linux gives the descriptor back even where close() reports an error.
    if (call.operation === 'file.close') await real(args)
    if (call.operation === 'file.writev' && fault.afterBytes !== undefined) {
      const [buffers, position] = args as [readonly Uint8Array[], number]
      const part = Buffer.concat(buffers).subarray(0, fault.afterBytes)
      await real([[part], position])
    }
    const { operation, path } = call
    throw Object.assign(new Error(`${fault.code}: injected, ${operation} '${path}'`), {
      code: fault.code,
    })
  }

  #take(call: FsCall): FsFault | undefined {
    for (const entry of this.#entries) {
      const { operation, path, skip = 0, times = Infinity } = entry.fault
      if (operation !== undefined && operation !== call.operation) continue
      if (path !== undefined && !call.path.includes(path)) continue
      if (entry.hits >= times) continue
      if (entry.passed < skip) {
        entry.passed += 1
        continue
      }
      entry.hits += 1
      return entry.fault
    }
    return undefined
  }
}

/** Every method of `target` goes through `run`, those that are added later too. */
function watch<T extends object>(
  target: T,
  run: (
    operation: string,
    args: readonly unknown[],
    real: (args: readonly unknown[]) => unknown,
  ) => unknown,
): T {
  const methods = new Proxy(target, {
    get(inner, key) {
      const value: unknown = Reflect.get(inner, key)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) =>
        run(String(key), args, (given) => Reflect.apply(value, inner, given) as unknown)
    },
  })
  return methods
}

function pathOf(args: readonly unknown[]): string {
  return args.find((arg) => typeof arg === 'string') ?? ''
}
