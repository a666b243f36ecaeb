import type { ImportApi, OfferedBlob } from '../../core/airgap/import-api.ts'
import { DigestMismatch } from '../../core/ports.ts'
import { readSmall } from '../bundle/read-small.ts'
import type { DeliveredBlob } from './cargo.ts'
import type { DamagedBlob, ImportProgress } from './import-report.ts'

/** Bytes of a blob that waits in memory for its turn, so that several are brought to disk at a time. */
const SMALL = 512 * 1024
/** Of such blobs in memory at a time, in bytes and in number. */
const MAX_WAITING_BYTES = 2 * 1024 * 1024
const MAX_WAITING = 32
/** Of the others: one is brought to disk while the next one is read. */
const MAX_LARGE = 2

/** Hands blobs on as they come; some at a time are brought to disk. */
export class Uploads {
  readonly #api: ImportApi
  readonly #onProgress: (progress: ImportProgress) => void
  readonly #total: ImportProgress
  readonly #signal: AbortSignal
  readonly #run: Pick<OfferedBlob, 'session' | 'bundle'>
  /** With the bytes in memory that each has, of those that wait there. */
  readonly #running = new Map<Promise<void>, number>()
  readonly damaged: DamagedBlob[] = []
  blobs = 0
  bytes = 0
  #failure: { readonly reason: unknown } | undefined
  #read = 0

  constructor(
    api: ImportApi,
    total: { readonly blobs: number; readonly bytes: number },
    onProgress: (progress: ImportProgress) => void,
    run: Pick<OfferedBlob, 'session' | 'bundle'>,
    signal: AbortSignal,
  ) {
    this.#api = api
    this.#run = run
    this.#onProgress = onProgress
    this.#total = {
      blobs: { done: 0, total: total.blobs },
      bytes: { done: 0, total: total.bytes },
    }
    this.#signal = signal
  }

  /** Throws what the mirror throws, of an earlier blob too; a wrong blob is noted, and the others go on. */
  async take(blob: DeliveredBlob, body: AsyncIterable<Uint8Array>): Promise<void> {
    this.#signal.throwIfAborted()
    if (this.#failure !== undefined) throw this.#failure.reason
    while (this.#isFull(blob.size)) await Promise.race(this.#running.keys())
    if (blob.size > SMALL) {
      const { promise: isRead, resolve } = Promise.withResolvers<void>()
      // While this one is brought to disk, the next one can be read.
      await Promise.race([isRead, this.#start(blob, untilRead(body, resolve), 0)])
      return
    }
    void this.#start(blob, once(await readSmall({ size: blob.size, body })), blob.size)
  }

  #isFull(size: number): boolean {
    const held = [...this.#running.values()]
    if (size > SMALL) return held.filter((bytes) => bytes === 0).length >= MAX_LARGE
    const bytes = held.reduce((sum, one) => sum + one, size)
    return held.length >= MAX_WAITING || bytes > MAX_WAITING_BYTES
  }

  /** Never rejects: a failure is thrown by the next call. */
  #start(blob: DeliveredBlob, body: AsyncIterable<Uint8Array>, held: number): Promise<void> {
    const running: Promise<void> = this.#put(blob, body)
      .catch((reason: unknown) => {
        // Thrown by the next call, which is there to see it.
        this.#failure ??= { reason }
      })
      .finally(() => this.#running.delete(running))
    this.#running.set(running, held)
    return running
  }

  /** Resolves when all of them are stored. Throws as `take` does. */
  async end(): Promise<void> {
    await Promise.all(this.#running.keys())
    if (this.#failure !== undefined) throw this.#failure.reason
  }

  async #put(blob: DeliveredBlob, body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      const { digest, size } = blob
      const offered = { digest, size, ...this.#run }
      await this.#api.put(offered, this.#counted(body), this.#signal)
      this.blobs += 1
      this.bytes += blob.size
      this.#tell()
    } catch (reason) {
      if (!(reason instanceof DigestMismatch)) throw reason
      this.damaged.push({ place: blob.place, reason: reason.message })
    }
  }

  async *#counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      yield chunk
      this.#read += chunk.length
      this.#tell()
    }
  }

  #tell(): void {
    const { blobs, bytes } = this.#total
    this.#onProgress({
      blobs: { ...blobs, done: this.blobs },
      bytes: { ...bytes, done: Math.min(this.#read, bytes.total) },
    })
  }
}

/** Tells when whoever reads it has all that he wants. */
async function* untilRead(
  body: AsyncIterable<Uint8Array>,
  onRead: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } finally {
    onRead()
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
