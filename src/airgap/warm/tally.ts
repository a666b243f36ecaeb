import type { WarmedImage, WarmProgress } from '../../core/airgap/warm-api.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { UpstreamName } from '../../oci/reference.ts'

/** Of the names under way that are shown. */
const SHOWN = 8

interface Entry {
  readonly size: number
  readonly upstream: UpstreamName
  /** Bytes that have come, at the most so far: what begins again goes on from there for those who watch. */
  done: number
  received: (() => number) | undefined
}

/** What has to come, each digest once, and how far that is. Counts never go down. */
export class Tally {
  readonly #entries = new Map<Digest, Entry>()
  readonly #current = new Set<string>()
  readonly #total: number
  #done = 0
  #failed = 0

  /** `total`: images. */
  constructor(total: number) {
    this.#total = total
  }

  /** It has to come from there; whoever says so first counts. */
  expect({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, upstream: UpstreamName): void {
    if (this.#entries.has(digest)) return
    this.#entries.set(digest, { size, upstream, done: 0, received: undefined })
  }

  follow(digest: Digest, received: () => number): void {
    const entry = this.#entries.get(digest)
    if (entry !== undefined) entry.received = received
  }

  arrived(digest: Digest): void {
    const entry = this.#entries.get(digest)
    if (entry === undefined) return
    entry.done = entry.size
    entry.received = undefined
  }

  /** Whether it was not here when this began. */
  isNew(digest: Digest): boolean {
    return this.#entries.has(digest)
  }

  begin(image: string): void {
    this.#current.add(image)
  }

  end({ image, state }: WarmedImage): void {
    this.#current.delete(image)
    this.#done += 1
    if (state === 'failed' || state === 'absent' || state === 'skipped') this.#failed += 1
  }

  progress(finished?: WarmedImage): WarmProgress {
    let done = 0
    let total = 0
    for (const entry of this.#entries.values()) {
      // A download may be longer than was stated until that is found out.
      entry.done = Math.max(entry.done, Math.min(entry.size, entry.received?.() ?? 0))
      done += entry.done
      total += entry.size
    }
    return {
      images: { done: this.#done, failed: this.#failed, total: this.#total },
      bytes: { done, total },
      current: [...this.#current].slice(0, SHOWN),
      ...(finished && { finished }),
    }
  }

  /** Of one upstream or of all. */
  sum(upstream?: UpstreamName): { readonly blobs: number; readonly bytes: number } {
    const own = [...this.#entries.values()].filter(
      (entry) => upstream === undefined || entry.upstream === upstream,
    )
    return { blobs: own.length, bytes: own.reduce((sum, { size }) => sum + size, 0) }
  }
}
