import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { OpenBlob, Spool, VerifiedFile } from '../core/ports.ts'
import { DigestMismatch, NoSpace, WITHHELD_BYTES } from '../core/ports.ts'
import type { Digest } from '../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../oci/digest.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { File, Fs } from './fs.ts'
import { isDiskRefusal, isErrno } from './fs.ts'
import { pumpFile } from './pump.ts'

/** Bytes that may wait for the disk before the download is slowed down. */
const MAX_PENDING = 1024 * 1024

export interface SpoolOptions {
  readonly digest: Digest
  /** Bytes; `undefined` if upstream did not say. */
  readonly size: number | undefined
  readonly path: string
  readonly fs: Fs
  readonly pool: BufferPool
  /** Called once, when the path belongs to nobody any more: after a discard. Adoption moves it away. */
  readonly onUnlinked: () => void
}

/** What `finish` proves. The path is for the store that made the spool. */
export class DiskVerifiedFile {
  readonly digest: Digest
  readonly size: number
  readonly path: string
  /** Set by the store once it has moved the file to its place. */
  isAdopted = false

  constructor(digest: Digest, size: number, path: string) {
    this.digest = digest
    this.size = size
    this.path = path
  }
}

type State =
  | { readonly kind: 'growing' }
  | { readonly kind: 'verified' }
  | { readonly kind: 'failed'; readonly reason: unknown }

/**
 * A download's file while it grows. Chunks that arrive while the disk is busy are written together, so
 * a fast upstream makes few, large writes. Readers follow through the same descriptor, which outlives
 * the file's name: it closes when the download has ended and the last reader has left.
 */
export class DiskSpool implements Spool {
  readonly #options: SpoolOptions
  readonly #file: File
  readonly #hash: Hash
  #state: State = { kind: 'growing' }
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  /** Bytes taken from upstream, and bytes that are in the file. */
  #received = 0
  #written = 0
  #flushing: Promise<void> | undefined
  #wake = Promise.withResolvers<void>()
  /** The download itself counts as one user of the descriptor. */
  #users = 1
  #hasEnded = false
  #verified: DiskVerifiedFile | undefined

  private constructor(options: SpoolOptions, file: File) {
    this.#options = options
    this.#file = file
    this.#hash = createHash(digestAlgorithm(options.digest))
  }

  static async open(options: SpoolOptions): Promise<DiskSpool> {
    try {
      return new DiskSpool(options, await options.fs.open(options.path, 'w+', 0o600))
    } catch (cause) {
      throw asNoSpace(cause)
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#state.kind === 'failed') throw this.#state.reason
    const { size, digest } = this.#options
    this.#received += chunk.length
    if (size !== undefined && this.#received > size) {
      throw new DigestMismatch(`upstream sent more than the ${size} bytes of ${digest}`)
    }
    this.#hash.update(chunk)
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.length
    this.#flushing ??= this.#flush()
    if (this.#pendingBytes > MAX_PENDING) await this.#flushing
  }

  async finish(): Promise<VerifiedFile> {
    await this.#flushing
    if (this.#state.kind === 'failed') throw this.#state.reason
    const { digest, size, path } = this.#options
    if (size !== undefined && this.#received !== size) {
      throw new DigestMismatch(`upstream sent ${this.#received} of the ${size} bytes of ${digest}`)
    }
    if (this.#hash.digest('hex') !== digestHex(digest)) {
      throw new DigestMismatch(`upstream sent ${this.#received} bytes that are not ${digest}`)
    }
    this.#end({ kind: 'verified' })
    // The one place where a VerifiedFile is made, and the reason that it can be trusted.
    this.#verified = new DiskVerifiedFile(digest, this.#received, path)
    return this.#verified as unknown as VerifiedFile
  }

  async discard(reason: unknown): Promise<void> {
    // Where adopting failed after all was verified, those who follow may read on.
    if (this.#state.kind === 'growing') this.#state = { kind: 'failed', reason }
    await this.#flushing
    try {
      await this.#unlink()
    } finally {
      this.#end(this.#state)
    }
  }

  open(): OpenBlob | undefined {
    if (this.#users === 0) return undefined
    this.#users += 1
    let isOpen = true
    const { size, pool } = this.#options
    const source = {
      file: this.#file,
      readableTo: (position: number, signal: AbortSignal) => this.#readableTo(position, signal),
    }
    return {
      size,
      pump: (range, write, signal) => pumpFile(source, range, write, pool, signal),
      close: async () => {
        if (!isOpen) return
        isOpen = false
        await this.#leave()
      },
    }
  }

  async #readableTo(position: number, signal: AbortSignal): Promise<number> {
    for (;;) {
      if (this.#state.kind === 'verified') return this.#written
      const visible = this.#visible()
      if (visible > position) return visible
      if (this.#state.kind === 'failed') throw this.#state.reason
      await untilAborted(this.#wake.promise, signal)
    }
  }

  /** A wrong body ends short for everyone: its last bytes are withheld until the digest is known. */
  #visible(): number {
    const { size } = this.#options
    const last = size === undefined ? this.#written : size
    return Math.max(0, Math.min(this.#written, last - WITHHELD_BYTES))
  }

  async #flush(): Promise<void> {
    try {
      while (this.#pending.length > 0) {
        const chunks = this.#pending
        this.#pending = []
        this.#pendingBytes = 0
        await this.#writeAll(chunks)
        this.#notify()
      }
    } catch (cause) {
      const reason = asNoSpace(cause)
      if (this.#state.kind === 'growing') this.#state = { kind: 'failed', reason }
      this.#notify()
    } finally {
      this.#flushing = undefined
    }
  }

  async #writeAll(chunks: readonly Uint8Array[]): Promise<void> {
    let rest = chunks
    while (rest.length > 0) {
      const { bytesWritten } = await this.#file.writev(rest, this.#written)
      this.#written += bytesWritten
      rest = skipBytes(rest, bytesWritten)
    }
  }

  #notify(): void {
    const { resolve } = this.#wake
    this.#wake = Promise.withResolvers<void>()
    resolve()
  }

  #end(state: State): void {
    this.#state = state
    this.#notify()
    if (this.#hasEnded) return
    this.#hasEnded = true
    void this.#leave()
  }

  async #leave(): Promise<void> {
    this.#users -= 1
    if (this.#users === 0) await this.#file.close()
  }

  async #unlink(): Promise<void> {
    // After adoption the path is free for another spool, and no longer ours to remove.
    if (this.#verified?.isAdopted === true) return
    try {
      await this.#options.fs.unlink(this.#options.path)
    } catch (cause) {
      if (!isErrno(cause, 'ENOENT')) throw cause
    }
    this.#options.onUnlinked()
  }
}

/** What is left of the chunks after a write that may have taken only a part. */
function skipBytes(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes
  const rest: Uint8Array[] = []
  for (const chunk of chunks) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      rest.push(chunk.subarray(skip))
      skip = 0
    }
  }
  return rest
}

function asNoSpace(cause: unknown): unknown {
  if (!isDiskRefusal(cause)) return cause
  const said = cause instanceof Error ? cause.message : String(cause)
  return new NoSpace(`the disk takes no more bytes: ${said}`, { cause })
}

async function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
