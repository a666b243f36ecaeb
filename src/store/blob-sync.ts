import { dirname } from 'node:path'
import type { Log } from '../core/log.ts'
import type { Digest } from '../oci/digest.ts'
import type { DurabilityMarks } from './durability-marks.ts'
import type { Fs } from './fs.ts'
import { isErrno, nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import { blobDirectory, blobPath } from './layout.ts'
import type { Suspects } from './suspects.ts'
import { syncDirectory, SyncFailure, syncPath } from './sync-path.ts'

/** Files, then directories, at a time: each takes a thread for as long as the disk wants. */
const PARALLEL = 4
/** Files to a batch: their directories are synced once, and their rows are written together. */
const BATCH = 128
/** Nothing lands so often that it is never seen at rest. */
const MAX_ROUNDS = 3
/** Said by a file's sync, these mean that bytes may be gone for good. */
const LOSSES = ['EIO', 'ENOSPC', 'EDQUOT'] as const

interface Deps {
  readonly layout: Layout
  readonly marks: DurabilityMarks
  /** Takes the blob out of the store: file and row. */
  readonly drop: (digest: Digest) => Promise<unknown>
  /** What the machine may have damaged is read before it is called safe. */
  readonly suspects: Pick<Suspects, 'has' | 'check'>
  readonly log: Log
  readonly fs?: Fs
}

interface Asked {
  readonly digest: Digest
  readonly resolve: (isSafe: boolean) => void
  readonly reject: (reason: unknown) => void
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
  /** Asked for one by one, and done together: the disk takes as long for one as for a few. */
  readonly #asked: Asked[] = []
  #isAnswering = false

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
  sync(digest: Digest): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    this.#asked.push({ digest, resolve, reject })
    if (!this.#isAnswering) void this.#answer()
    return promise
  }

  /** Never rejects: each is told of its own. */
  async #answer(): Promise<void> {
    this.#isAnswering = true
    while (this.#asked.length > 0) {
      const batch = this.#asked.splice(0, BATCH)
      try {
        const safe = await this.#secure([...new Set(batch.map(({ digest }) => digest))])
        for (const { digest, resolve } of batch) resolve(safe.has(digest))
      } catch (reason) {
        for (const { reject } of batch) reject(reason)
      }
    }
    this.#isAnswering = false
  }

  /** Of these, those that survive the loss of power: files, names and rows. */
  async #secure(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const { marks, suspects } = this.#deps
    const safe = new Set<Digest>()
    let left = digests
    for (let round = 1; left.length > 0 && round <= MAX_ROUNDS; round += 1) {
      for (const digest of left) if (suspects.has(digest)) await suspects.check(digest)
      for (const digest of left) marks.take(digest)
      const synced = await this.#syncAll(left)
      const settled = new Set(marks.settleForGood(synced))
      for (const digest of settled) safe.add(digest)
      // It has landed anew meanwhile: what is there now is another file.
      left = synced.filter((digest) => !settled.has(digest))
    }
    return safe
  }

  /** Those that are on disk now. */
  async #syncAll(digests: readonly Digest[]): Promise<readonly Digest[]> {
    const synced: Digest[] = []
    await eachInParallel(digests, async (digest) => {
      if (await this.#syncBlob(digest)) synced.push(digest)
    })
    const lost = new Set<Digest>()
    await eachInParallel(byDirectory(this.#deps.layout, synced), async ([directory, names]) => {
      if (!(await this.#syncDirectory(directory))) for (const digest of names) lost.add(digest)
    })
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

async function eachInParallel<T>(
  items: Iterable<T>,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const left = items[Symbol.iterator]()
  const work = async () => {
    for (let next = left.next(); next.done !== true; next = left.next()) await task(next.value)
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}
