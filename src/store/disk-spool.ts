import type { Hash } from 'node:crypto'
import { createHash } from 'node:crypto'
import type { OpenBlob, Spool, VerifiedFile } from '../core/ports.ts'
import { DigestMismatch, NotKept, WITHHELD_BYTES } from '../core/ports.ts'
import type { Digest } from '../oci/digest.ts'
import { digestAlgorithm, digestHex } from '../oci/digest.ts'
import type { BlockPool } from './block-pool.ts'
import { followSpool } from './follow-spool.ts'
import { isDiskRefusal, isErrno } from './fs.ts'
import { openLeftSpool } from './left-spool.ts'
import { SpoolTail } from './spool-tail.ts'
import type { TapeOptions } from './spool-tape.ts'
import { SpoolTape } from './spool-tape.ts'
import { SpoolWriter } from './spool-writer.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { DiskVerifiedFile } from './verified-file.ts'

export interface SpoolOptions extends TapeOptions {
  readonly digest: Digest
  /** Bytes; `undefined` if upstream did not say. */
  readonly size: number | undefined
  readonly blocks: BlockPool
  /** Called once, when the path belongs to nobody any more: after a discard. Adoption moves it away. */
  readonly onReleased: () => Promise<void>
}

type State =
  | { readonly kind: 'growing' }
  | { readonly kind: 'verified' }
  | { readonly kind: 'failed'; readonly reason: unknown }

/**
 * A download's file while it grows. Readers that keep up are sent what is still in memory, and the others
 * what is in the file, through the same descriptor, which outlives the file's name: it closes when the
 * download has ended and the last reader has left.
 */
export class DiskSpool implements Spool {
  readonly #options: SpoolOptions
  readonly #tape: SpoolTape
  readonly #hash: Hash
  #state: State = { kind: 'growing' }
  readonly #tail: SpoolTail
  readonly #writer: SpoolWriter
  /** Readers that wait for more, and whether they are about to be told. */
  #waiting = 0
  #isWaking = false
  #wake = Promise.withResolvers<void>()
  /** The download itself counts as one user of the descriptor. */
  #users = 1
  #hasEnded = false
  #isKept = false
  #verified: DiskVerifiedFile | undefined

  /** What is on the tape already is in the hash. */
  private constructor(options: SpoolOptions, hash: Hash, tape: SpoolTape) {
    this.#options = options
    this.#hash = hash
    this.#tape = tape
    const { blocks, size } = options
    const tail = new SpoolTail(blocks, tape.length, size)
    const onFailed = (reason: unknown) => this.#fail(reason)
    this.#tail = tail
    this.#writer = new SpoolWriter({ tail, tape, hash, blocks, onFailed })
    tape.onGrown = () => this.#notify()
  }

  static async open(options: SpoolOptions): Promise<DiskSpool> {
    return new DiskSpool(options, newHash(options), await SpoolTape.create(options))
  }

  /** Goes on with what an earlier download left at the path. */
  static async resume(options: SpoolOptions): Promise<DiskSpool | undefined> {
    const hash = newHash(options)
    const left = await openLeftSpool(options, hash)
    return left && new DiskSpool(options, hash, new SpoolTape(options, left.file, left.length))
  }

  get length(): number {
    return this.#tail.end
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#state.kind === 'failed') return Promise.reject(this.#state.reason)
    const { size = Infinity, digest } = this.#options
    if (this.length + chunk.length > size) {
      const message = `upstream sent more than the ${size} bytes of ${digest}`
      return Promise.reject(new DigestMismatch(message))
    }
    this.#tail.append(chunk)
    this.#wakeSoon()
    return this.#writer.goOn()
  }

  async finish(): Promise<VerifiedFile> {
    await this.#writer.flush()
    if (this.#state.kind === 'failed') throw this.#state.reason
    const { digest, size, path } = this.#options
    if (size !== undefined && this.length !== size) {
      throw new DigestMismatch(`upstream sent ${this.length} of the ${size} bytes of ${digest}`)
    }
    if (this.#hash.digest('hex') !== digestHex(digest)) {
      throw new DigestMismatch(`upstream sent ${this.length} bytes that are not ${digest}`)
    }
    this.#end({ kind: 'verified' })
    if (!this.#tape.isInFile) {
      const what = `the ${this.length} bytes of ${digest}`
      throw new NotKept(`there was no room to keep ${what}`, 'full')
    }
    // The one place where a VerifiedFile is made, and the reason that it can be trusted.
    this.#verified = new DiskVerifiedFile(digest, this.length, path)
    return this.#verified as unknown as VerifiedFile
  }

  async discard(reason: unknown): Promise<void> {
    // Where adopting failed after all was verified, those who follow may read on.
    if (this.#state.kind === 'growing') this.#state = { kind: 'failed', reason }
    this.#tape.stop(reason)
    await (this.#isKept ? this.#writer.flush() : this.#writer.stop())
    try {
      await this.#unlink()
    } finally {
      this.#end(this.#state)
    }
  }

  keep(reason: unknown): Promise<void> {
    this.#isKept = true
    return this.discard(reason)
  }

  open(): OpenBlob | undefined {
    if (this.#users === 0 || this.isPast) return undefined
    this.#users += 1
    const seat = this.#tape.enter()
    const follower = {
      tail: this.#tail,
      tape: this.#tape,
      seat,
      readableTo: (position: number, signal: AbortSignal) => this.#readableTo(position, signal),
      grown: (signal: AbortSignal) => this.#woken(signal),
    }
    return {
      size: this.#options.size,
      pump: (range, write, signal) => followSpool(follower, range, write, signal),
      close: async () => {
        if (this.#tape.leave(seat)) await this.#leave()
      },
    }
  }

  get isUnkept(): boolean {
    return !this.#tape.isInFile
  }

  get isPast(): boolean {
    return this.#tape.isPast
  }

  get followers(): number | undefined {
    return this.#tape.readers
  }

  async #readableTo(position: number, signal: AbortSignal): Promise<number> {
    for (;;) {
      if (this.#state.kind === 'verified') return this.#tape.length
      const visible = this.#visible()
      if (visible > position) return visible
      if (this.#state.kind === 'failed') throw this.#state.reason
      await this.#woken(signal)
    }
  }

  async #woken(signal: AbortSignal): Promise<void> {
    this.#waiting += 1
    try {
      await untilAborted(this.#wake.promise, signal)
    } finally {
      this.#waiting -= 1
    }
  }

  /** A wrong body ends short for everyone: its last bytes are withheld until the digest is known. */
  #visible(): number {
    const isInMemory = this.#tape.isInFile && !this.#tail.isClosed
    const here = isInMemory ? this.#tail.end : this.#tape.length
    const { size: last = here } = this.#options
    return Math.max(0, Math.min(here, last - WITHHELD_BYTES))
  }

  /** What did not get to the tape never will. */
  #fail(reason: unknown): void {
    if (this.#state.kind === 'growing') this.#state = { kind: 'failed', reason }
    this.#tail.close()
    this.#notify()
  }

  /** Once for all that arrives in one turn of the loop. */
  #wakeSoon(): void {
    if (this.#waiting === 0 || this.#isWaking) return
    this.#isWaking = true
    setImmediate(() => {
      this.#isWaking = false
      this.#notify()
    })
  }

  #notify(): void {
    const { resolve } = this.#wake
    this.#wake = Promise.withResolvers<void>()
    resolve()
  }

  #end(state: State): void {
    this.#state = state
    void this.#writer.stop()
    this.#tail.close()
    this.#notify()
    if (this.#hasEnded) return
    this.#hasEnded = true
    void this.#leave()
  }

  async #leave(): Promise<void> {
    this.#users -= 1
    if (this.#users > 0) return
    try {
      await this.#tape.close()
    } catch {
      // The descriptor is gone even so, and what was written is judged by its digest.
    }
  }

  async #unlink(): Promise<void> {
    // After adoption the path is free for another spool, and no longer ours to remove.
    if (this.#verified?.isAdopted === true) return
    try {
      if (!this.#isKept) await this.#options.fs.unlink(this.#options.path)
    } catch (cause) {
      // On a disk that refuses, the file stays until a later download of the blob writes over it.
      if (!isErrno(cause, 'ENOENT') && !isDiskRefusal(cause)) throw cause
    }
    await this.#options.onReleased()
  }
}

function newHash({ digest }: SpoolOptions): Hash {
  return createHash(digestAlgorithm(digest))
}
