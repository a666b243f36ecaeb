import { createHash } from 'node:crypto'
import type { Log } from '../core/log.ts'
import type { MirrorControl } from '../core/maintenance/mirror-control.ts'
import type { Digest } from '../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../oci/digest.ts'
import type { File, Fs } from './fs.ts'
import { isErrno } from './fs.ts'
import { hashFile } from './hash-file.ts'
import type { Layout } from './layout.ts'
import { blobPath } from './layout.ts'
import { untilAborted } from '../core/until-aborted.ts'

export interface SuspectsDeps {
  readonly fs: Fs
  readonly layout: Layout
  readonly log: Log
  /** Its bytes are right. */
  readonly onCleared: (digest: Digest) => void
  /** Runs the task while the blob can neither land nor be evicted. */
  readonly alone: MirrorControl['alone']
}

/** Blobs whose files may hold anything, because the machine went down. Each is read before it is served. */
export class Suspects {
  readonly #deps: SuspectsDeps
  readonly #digests: Set<Digest>
  readonly #checks = new Map<Digest, Promise<boolean>>()
  readonly #stopped = new AbortController()

  constructor(digests: Iterable<Digest>, deps: SuspectsDeps) {
    this.#digests = new Set(digests)
    this.#deps = deps
  }

  has(digest: Digest): boolean {
    return this.#digests.has(digest)
  }

  /** There is another file by now, or none. */
  forget(digest: Digest): void {
    this.#digests.delete(digest)
  }

  /**
   * Whether the file is right. One that is not is removed. Once for all who ask: it goes on when they leave,
   * and takes as long as reading the file does.
   */
  check(digest: Digest): Promise<boolean> {
    const running = this.#checks.get(digest)
    if (running !== undefined) return running
    const check = this.#check(digest).finally(() => this.#checks.delete(digest))
    this.#checks.set(digest, check)
    return check
  }

  /** All that are left, one after another. Returns how many could not be looked at, and stay suspect. */
  async checkAll(signal: AbortSignal): Promise<number> {
    let unread = 0
    for (const digest of this.#digests) {
      if (signal.aborted) return unread
      const check = this.check(digest)
      try {
        await untilAborted(check, signal)
      } catch (error) {
        // Whoever has left sees no failure, and an unseen failure would end the process.
        check.catch(() => {})
        if (signal.aborted) return unread
        // One that cannot be opened says nothing about the others.
        unread += 1
        this.#deps.log.error(
          { digest, error },
          'failed to check a blob after a crash of the machine',
        )
      }
    }
    return unread
  }

  /** Ends the checks that are running. What they were about stays suspect. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the mirror is stopping'))
    await Promise.allSettled(this.#checks.values())
  }

  async #check(digest: Digest): Promise<boolean> {
    const path = blobPath(this.#deps.layout, digest)
    if (!(await this.#isRight(path, digest))) {
      return this.#deps.alone(digest, () => this.#remove(path, digest))
    }
    // Meanwhile it may have been fetched again: then what was read is not what is there.
    if (this.#digests.delete(digest)) this.#deps.onCleared(digest)
    return true
  }

  /** Whether there is another file by now, which is right. */
  async #remove(path: string, digest: Digest): Promise<boolean> {
    if (!this.#digests.has(digest)) return true
    const { fs, log } = this.#deps
    try {
      await fs.unlink(path)
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) {
        // It stays suspect, and is not served: whoever asks gets it from upstream, over the top of this one.
        log.error(
          { digest, error },
          'failed to drop a blob that a crash of the machine had damaged',
        )
        return false
      }
    }
    this.#digests.delete(digest)
    log.warn({ digest }, 'dropped a blob that a crash of the machine had damaged')
    return false
  }

  async #isRight(path: string, digest: Digest): Promise<boolean> {
    const hash = createHash(digestAlgorithm(digest))
    let file: File | undefined
    try {
      file = await this.#deps.fs.open(path, 'r')
      await hashFile(file, (await file.stat()).size, hash, this.#stopped.signal)
      return hash.digest('hex') === digestHex(digest)
    } catch (cause) {
      // Gone, or on a bad sector: it has to come from upstream again.
      if (isErrno(cause, 'ENOENT', 'EIO')) return false
      throw cause
    } finally {
      await file?.close()
    }
  }
}
