import { join } from 'node:path'
import type { BlobStore, OpenBlob, Relief, Spool, VerifiedFile } from '../core/ports.ts'
import type { Space } from '../core/room.ts'
import type { Digest } from '../oci/digest.ts'
import { parseDigest } from '../oci/digest.ts'
import type { UpstreamName } from '../oci/reference.ts'
import { BlockPool } from './block-pool.ts'
import { BufferPool } from './buffer-pool.ts'
import type { SpoolOptions } from './disk-spool.ts'
import { DiskSpool } from './disk-spool.ts'
import type { File, Fs } from './fs.ts'
import { asNoSpace, isErrno, nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import { blobDirectory, blobPath, layoutOf, spoolDirectory } from './layout.ts'
import type { Left } from './left-spools.ts'
import { LeftSpools } from './left-spools.ts'
import { StoredBlob } from './stored-blob.ts'
import type { SuspectsDeps } from './suspects.ts'
import { Suspects } from './suspects.ts'
import { DiskVerifiedFile } from './verified-file.ts'

/** Content by digest in files, below one directory of one volume. */
export class DiskBlobStore implements BlobStore {
  readonly #fs: Fs
  readonly #layout: Layout
  readonly #pool = new BufferPool()
  readonly #blocks = new BlockPool()
  /** Paths of the spools in use: a manifest may be asked for as a blob while it is fetched as a manifest. */
  readonly #spools = new Set<string>()
  readonly #left: LeftSpools
  #suspects: Suspects | undefined

  private constructor(layout: Layout, left: LeftSpools, fs: Fs) {
    this.#layout = layout
    this.#left = left
    this.#fs = fs
  }

  /** What earlier downloads left is kept for whoever asks. The directory has to be locked by this process. */
  static async open(root: string, fs: Fs = nodeFs): Promise<DiskBlobStore> {
    const layout = layoutOf(root)
    await fs.mkdir(layout.spool)
    await fs.mkdir(layout.blobs)
    return new DiskBlobStore(layout, await LeftSpools.open(fs, layout), fs)
  }

  async stat(digest: Digest): Promise<{ readonly size: number } | undefined> {
    try {
      const { size } = await this.#fs.stat(blobPath(this.#layout, digest))
      return { size }
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return undefined
      throw cause
    }
  }

  /** Nothing of these is served before it was read and found right; then `deps.onCleared` is told. */
  distrust(
    digests: Iterable<Digest>,
    deps: Pick<SuspectsDeps, 'alone' | 'log' | 'onCleared'>,
  ): Suspects {
    const suspects = new Suspects(digests, { fs: this.#fs, layout: this.#layout, ...deps })
    this.#suspects = suspects
    return suspects
  }

  async open(digest: Digest, size?: number): Promise<OpenBlob | undefined> {
    if (this.#suspects?.has(digest) === true && !(await this.#suspects.check(digest))) {
      return undefined
    }
    let file: File | undefined
    try {
      file = await this.#fs.open(blobPath(this.#layout, digest), 'r')
      const found = (await file.stat()).size
      if (size === undefined || found === size) return new StoredBlob(file, found, this.#pool)
    } catch (cause) {
      // Gone, or on a bad sector: either way it has to come from upstream again.
      if (!isErrno(cause, 'ENOENT', 'EIO')) {
        await file?.close()
        throw cause
      }
    }
    await file?.close()
    return undefined
  }

  async createSpool(
    upstream: UpstreamName,
    digest: Digest,
    size: number | undefined,
    relief?: Relief,
  ): Promise<Spool> {
    const path = this.#freePath(join(spoolDirectory(this.#layout, upstream), digest))
    return this.#claim(path, (claim) => DiskSpool.open({ digest, size, relief, ...claim }))
  }

  async resumeSpool(
    upstream: UpstreamName,
    digest: Digest,
    size: number | undefined,
    relief?: Relief,
  ): Promise<Spool | undefined> {
    const path = join(spoolDirectory(this.#layout, upstream), digest)
    // In use: what a download writes now was not left by an earlier one.
    if (this.#spools.has(path) || !this.#left.has(path)) return undefined
    return this.#claim(path, (claim) => DiskSpool.resume({ digest, size, relief, ...claim }))
  }

  /** The path belongs to the spool until that is discarded, or adopted, or there is none. */
  async #claim<T extends Spool | undefined>(
    path: string,
    open: (claim: Omit<SpoolOptions, 'digest' | 'size' | 'relief'>) => Promise<T>,
  ): Promise<T> {
    this.#spools.add(path)
    this.#left.take(path)
    const onReleased = async () => {
      await this.#left.note(path)
      this.#spools.delete(path)
    }
    let spool: T | undefined
    try {
      spool = await open({ path, fs: this.#fs, pool: this.#pool, blocks: this.#blocks, onReleased })
      return spool
    } finally {
      if (spool === undefined) await onReleased()
    }
  }

  async adopt(file: VerifiedFile): Promise<void> {
    const verified: object = file
    if (!(verified instanceof DiskVerifiedFile))
      throw new TypeError('the file is not from this store')
    const path = blobPath(this.#layout, verified.digest)
    try {
      await this.#fs.mkdir(blobDirectory(this.#layout, verified.digest))
      await this.#fs.rename(verified.path, path)
    } catch (cause) {
      throw asNoSpace(cause)
    }
    verified.isAdopted = true
    this.#suspects?.forget(verified.digest)
    this.#spools.delete(verified.path)
    // Not before: whoever goes on with a spool that a kill left has to be able to write to it.
    try {
      await this.#fs.chmod(path, 0o440)
    } catch {
      // That only guards against people's mistakes; the blob is in its place, and right.
    }
  }

  async delete(digest: Digest): Promise<boolean> {
    let isThere = true
    try {
      await this.#fs.unlink(blobPath(this.#layout, digest))
    } catch (cause) {
      if (!isErrno(cause, 'ENOENT')) throw cause
      isThere = false
    }
    this.#suspects?.forget(digest)
    return isThere
  }

  async quarantine(digest: Digest): Promise<boolean> {
    try {
      await this.#fs.mkdir(this.#layout.quarantine)
      await this.#fs.rename(blobPath(this.#layout, digest), join(this.#layout.quarantine, digest))
      return true
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return false
      throw cause
    }
  }

  async quarantined(): Promise<readonly { readonly digest: Digest; readonly size: number }[]> {
    const found: { readonly digest: Digest; readonly size: number }[] = []
    for (const name of await this.#fs.list(this.#layout.quarantine)) {
      const digest = parseDigest(name)
      if (digest === undefined) continue
      found.push({ digest, size: (await this.#fs.stat(join(this.#layout.quarantine, name))).size })
    }
    return found
  }

  async discardQuarantined(digest: Digest): Promise<void> {
    await this.#fs.remove(join(this.#layout.quarantine, digest))
  }

  async *list(): AsyncIterable<{ readonly digest: Digest; readonly size: number }> {
    for (const algorithm of await this.#fs.list(this.#layout.blobs)) {
      for (const prefix of await this.#fs.list(join(this.#layout.blobs, algorithm))) {
        for (const hex of await this.#fs.list(join(this.#layout.blobs, algorithm, prefix))) {
          const digest = parseDigest(`${algorithm}:${hex}`)
          const found = digest && (await this.stat(digest))
          if (digest !== undefined && found !== undefined) yield { digest, size: found.size }
        }
      }
    }
  }

  async leftBytes(): Promise<number> {
    return this.#left.bytes
  }

  async dropLeft(bytes: number): Promise<number> {
    let gone = 0
    for (const path of this.#left.paths()) {
      if (gone >= bytes) break
      gone += await this.#removeLeft(path, () => true)
    }
    return gone
  }

  /** Removes what downloads left behind before `before` (ms) and nobody has asked for since. */
  async removeStraySpools(before: number, signal: AbortSignal): Promise<void> {
    for (const path of this.#left.paths()) {
      if (signal.aborted) return
      await this.#removeLeft(path, ({ at }) => at < before)
    }
  }

  space(): Promise<Space> {
    return this.#fs.space(this.#layout.root)
  }

  /** Returns the bytes that have gone. Meanwhile it is in use, so that no download goes on with it. */
  async #removeLeft(path: string, isWanted: (left: Left) => boolean): Promise<number> {
    if (this.#spools.has(path)) return 0
    this.#spools.add(path)
    try {
      const left = await this.#left.note(path)
      if (left === undefined || !isWanted(left)) return 0
      await this.#fs.remove(path)
      return this.#left.take(path)
    } catch {
      // A disk that does not let go of it: it stays, and counts.
      return 0
    } finally {
      this.#spools.delete(path)
    }
  }

  #freePath(path: string): string {
    let free = path
    for (let n = 1; this.#spools.has(free); n += 1) free = `${path}.${n}`
    return free
  }
}
