import type { Digest } from '../oci/digest.ts'
import type { OpenBlob } from './ports.ts'
import { DamagedBlob } from './ports.ts'

/** Which stored blobs are being read: evicting those would free nothing until their readers have left. */
export class InUse {
  readonly #readers = new Map<Digest, number>()
  readonly #onDamaged: (digest: Digest, reason: DamagedBlob) => void

  /** `onDamaged` is told when a reader finds that the disk does not give a blob back. */
  constructor(onDamaged: (digest: Digest, reason: DamagedBlob) => void) {
    this.#onDamaged = onDamaged
  }

  has(digest: Digest): boolean {
    return this.#readers.has(digest)
  }

  /** The same blob, in use until it is closed. */
  watch(digest: Digest, blob: OpenBlob): OpenBlob {
    this.#readers.set(digest, (this.#readers.get(digest) ?? 0) + 1)
    let isOpen = true
    return {
      size: blob.size,
      pump: async (range, write, signal) => {
        try {
          await blob.pump(range, write, signal)
        } catch (reason) {
          if (reason instanceof DamagedBlob) this.#onDamaged(digest, reason)
          throw reason
        }
      },
      close: async () => {
        if (isOpen) this.#leave(digest)
        isOpen = false
        await blob.close()
      },
    }
  }

  #leave(digest: Digest): void {
    const left = (this.#readers.get(digest) ?? 1) - 1
    if (left === 0) this.#readers.delete(digest)
    else this.#readers.set(digest, left)
  }
}
