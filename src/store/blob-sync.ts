import { dirname } from 'node:path'
import type { Log } from '../core/log.ts'
import type { Digest } from '../oci/digest.ts'
import type { DurabilityMarks } from './durability-marks.ts'
import type { Fs } from './fs.ts'
import { isErrno, nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import { blobDirectory, blobPath } from './layout.ts'
import { syncDirectory, SyncFailure, syncPath } from './sync-path.ts'

/** Files at a time: each takes a thread for as long as the disk wants. */
const PARALLEL = 4
/** Files to a batch: their directories are synced once, and their rows are written together. */
const BATCH = 128
/** Said by a file's sync, these mean that bytes may be gone for good. */
const LOSSES = ['EIO', 'ENOSPC', 'EDQUOT'] as const

interface Deps {
  readonly layout: Layout
  readonly marks: DurabilityMarks
  /** Takes the blob out of the store: file and row. */
  readonly drop: (digest: Digest) => Promise<unknown>
  readonly log: Log
  readonly fs?: Fs
}

/**
 * Brings stored blobs from the machine's memory to its disk, some time after they landed: a pull does not
 * wait for the disk, and a loss of power costs no more than a download.
 *
 * A file's sync that failed is final. The kernel may have thrown the bytes away and may call the next sync a
 * success, so the blob is dropped and fetched again. Every other failure lost nothing: it is tried again.
 */
export class BlobSync {
  readonly #deps: Deps
  readonly #fs: Fs
  /** Of failures that were logged, and have not been over since: a disk that stays away is told once. */
  readonly #told = new Set<string>()

  constructor(deps: Deps) {
    this.#deps = deps
    this.#fs = deps.fs ?? nodeFs
  }

  /** Everything that has landed so far. Stops between two batches when `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { marks } = this.#deps
    let isWhole = true
    for (let after = ''; !signal.aborted;) {
      const page = marks.pending(after, BATCH)
      const last = page.at(-1)
      if (last === undefined) break
      const synced = await this.#syncAll(page)
      marks.settle(synced)
      isWhole &&= synced.length === page.length
      after = last
    }
    if (isWhole) this.#told.clear()
  }

  /**
   * `true`: the blob survives the loss of power. `false`: it is not stored (any more), or cannot be brought
   * to disk now.
   */
  async sync(digest: Digest): Promise<boolean> {
    this.#deps.marks.take(digest)
    const synced = await this.#syncAll([digest])
    this.#deps.marks.settleForGood(synced)
    return synced.length > 0
  }

  /** Those that are on disk now. */
  async #syncAll(digests: readonly Digest[]): Promise<readonly Digest[]> {
    const { layout } = this.#deps
    const synced: Digest[] = []
    const left = [...digests]
    const work = async () => {
      for (let digest = left.pop(); digest !== undefined; digest = left.pop()) {
        if (await this.#syncBlob(digest)) synced.push(digest)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
    const lost = new Set<Digest>()
    for (const [directory, names] of byDirectory(layout, synced)) {
      if (!(await this.#syncDirectory(directory))) for (const digest of names) lost.add(digest)
    }
    return synced.filter((digest) => !lost.has(digest))
  }

  async #syncBlob(digest: Digest): Promise<boolean> {
    const path = blobPath(this.#deps.layout, digest)
    try {
      await syncPath(this.#fs, path)
      return true
    } catch (error) {
      if (!(error instanceof SyncFailure) || !isErrno(error.cause, ...LOSSES)) {
        this.#tell(path, error)
        return false
      }
      this.#deps.log.error({ path, error }, 'failed to sync and dropped')
      await this.#deps.drop(digest)
      return false
    }
  }

  /** The names in it are not lost where this fails: they are in memory, and the files are as they were. */
  async #syncDirectory(path: string): Promise<boolean> {
    try {
      await syncDirectory(this.#fs, path)
      return true
    } catch (error) {
      this.#tell(path, error)
      return false
    }
  }

  #tell(path: string, error: unknown): void {
    // Evicted meanwhile, or no descriptor to be had: both come and go.
    if (isErrno(error, 'ENOENT', 'EMFILE', 'ENFILE')) return
    const cause = error instanceof SyncFailure ? error.cause : error
    const kind = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    if (this.#told.has(kind)) return
    this.#told.add(kind)
    this.#deps.log.error({ path, error }, 'failed to sync and will try again')
  }
}

/** With the directories above, which may be new as well. */
function byDirectory(
  layout: Layout,
  digests: readonly Digest[],
): ReadonlyMap<string, readonly Digest[]> {
  const names = new Map<string, Digest[]>()
  for (const digest of digests) {
    const directory = blobDirectory(layout, digest)
    for (const path of [directory, dirname(directory), layout.blobs]) {
      const concerned = names.get(path)
      if (concerned === undefined) names.set(path, [digest])
      else concerned.push(digest)
    }
  }
  return names
}
