import { join } from 'node:path'
import type { BlobStore, OpenBlob, Spool, VerifiedFile } from '../core/ports.ts'
import type { Digest } from '../oci/digest.ts'
import { parseDigest } from '../oci/digest.ts'
import type { UpstreamName } from '../oci/reference.ts'
import { BufferPool } from './buffer-pool.ts'
import { DiskSpool, DiskVerifiedFile } from './disk-spool.ts'
import type { File, Fs } from './fs.ts'
import { isErrno, nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import { blobDirectory, blobPath, layoutOf, spoolDirectory } from './layout.ts'
import { StoredBlob } from './stored-blob.ts'

/** Content by digest in files, below one directory of one volume. */
export class DiskBlobStore implements BlobStore {
  readonly #fs: Fs
  readonly #layout: Layout
  readonly #pool = new BufferPool()
  /** Paths of the spools in use: a manifest may be asked for as a blob while it is fetched as a manifest. */
  readonly #spools = new Set<string>()

  private constructor(layout: Layout, fs: Fs) {
    this.#layout = layout
    this.#fs = fs
  }

  /** Removes what earlier downloads left behind. The directory has to be locked by this process. */
  static async open(root: string, fs: Fs = nodeFs): Promise<DiskBlobStore> {
    const layout = layoutOf(root)
    await fs.remove(layout.spool)
    await fs.mkdir(layout.spool)
    await fs.mkdir(layout.blobs)
    return new DiskBlobStore(layout, fs)
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

  async open(digest: Digest, size?: number): Promise<OpenBlob | undefined> {
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
  ): Promise<Spool> {
    const directory = spoolDirectory(this.#layout, upstream)
    await this.#fs.mkdir(directory)
    const path = this.#freePath(join(directory, digest))
    this.#spools.add(path)
    const onUnlinked = () => this.#spools.delete(path)
    try {
      return await DiskSpool.open({
        digest,
        size,
        path,
        fs: this.#fs,
        pool: this.#pool,
        onUnlinked,
      })
    } catch (reason) {
      onUnlinked()
      throw reason
    }
  }

  async adopt(file: VerifiedFile): Promise<void> {
    const verified: object = file
    if (!(verified instanceof DiskVerifiedFile))
      throw new TypeError('the file is not from this store')
    await this.#fs.chmod(verified.path, 0o440)
    await this.#fs.mkdir(blobDirectory(this.#layout, verified.digest))
    await this.#fs.rename(verified.path, blobPath(this.#layout, verified.digest))
    verified.isAdopted = true
    this.#spools.delete(verified.path)
  }

  async delete(digest: Digest): Promise<boolean> {
    try {
      await this.#fs.unlink(blobPath(this.#layout, digest))
      return true
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return false
      throw cause
    }
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

  space(): Promise<{ readonly total: number; readonly free: number }> {
    return this.#fs.space(this.#layout.root)
  }

  #freePath(path: string): string {
    let free = path
    for (let n = 1; this.#spools.has(free); n += 1) free = `${path}.${n}`
    return free
  }
}
