import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'

/**
 * How far ahead of its clients a pull is fetched: wide enough to hide the distance from a client that asks for
 * one layer after the other, and all that it costs if nobody goes on.
 */
const WINDOW = { blobs: 16, bytes: 128 * 1024 * 1024 } as const

/** What clients have asked for of one image, and what has been begun for them ahead of that. */
export class Trail {
  readonly repository: Repository
  readonly blobs: readonly Descriptor[]
  readonly #places: ReadonlyMap<Digest, number>
  /** Nothing is begun twice: neither what was asked for nor what failed. */
  readonly #begun = new Set<Digest>()
  /** Bytes of what was begun and not asked for yet. */
  readonly #ahead = new Map<Digest, number>()
  #bytesAhead = 0
  /** Where the client is. */
  #place = 0

  /** `blobs`: what the image's manifest names, in the order in which clients ask for it. */
  constructor(repository: Repository, blobs: readonly Descriptor[]) {
    this.repository = repository
    this.blobs = blobs
    this.#places = new Map(blobs.map(({ digest }, place) => [digest, place]))
  }

  /** A client wants it, or has got it. */
  asked(digest: Digest): void {
    const place = this.#places.get(digest)
    if (place === undefined) return
    this.#place = place
    this.#begun.add(digest)
    this.pass(digest)
  }

  /** It takes no room in the window: it need not be fetched. */
  pass(digest: Digest): void {
    this.#bytesAhead -= this.#ahead.get(digest) ?? 0
    this.#ahead.delete(digest)
  }

  /** The next one to fetch, which counts as begun then; `undefined` if the window has no room, or nothing is left. */
  begin(): Descriptor | undefined {
    if (this.#ahead.size >= WINDOW.blobs) return undefined
    const next = this.#next()
    if (next === undefined) return undefined
    const { digest, size } = next
    // However large it is, one may always be on its way.
    if (this.#ahead.size > 0 && this.#bytesAhead + size > WINDOW.bytes) return undefined
    this.#begun.add(digest)
    this.#ahead.set(digest, size)
    this.#bytesAhead += size
    return next
  }

  /** From where the client is, then from the beginning: some ask for the configuration last. */
  #next(): Descriptor | undefined {
    if (this.#begun.size === this.blobs.length) return undefined
    const isLeft = ({ digest }: Descriptor) => !this.#begun.has(digest)
    return this.blobs.slice(this.#place).find(isLeft) ?? this.blobs.find(isLeft)
  }
}
