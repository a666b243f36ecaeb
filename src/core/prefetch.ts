import { setImmediate as nextTurn } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { pulledContent } from '../oci/pulled-content.ts'
import type { Repository } from '../oci/reference.ts'
import { formatContent, formatRepository } from '../oci/reference.ts'
import type { WarmDownload } from './airgap/warm-source.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import type { Manifests } from './manifests.ts'
import type { Clock } from './ports.ts'
import { DigestMismatch, NoSpace } from './ports.ts'
import { steady } from './steady-clock.ts'
import { Trail } from './trail.ts'
import type { UpstreamEntry } from './upstream-entry.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** Blobs of all images together that are followed: a hundred bytes or two each. */
const MAX_BLOBS = 10_000
/** An image is followed for this long, then looked at anew: what was here may have been evicted. */
const FOLLOWED_FOR_MS = 10 * 60_000
/** After a failure nothing is fetched that nobody waits for; what a registry counts is left to clients for longer. */
const PAUSE_MS = 30_000
const LIMITED_PAUSE_MS = 5 * 60_000
/**
 * Milliseconds at most that the first blob of an image is upstream's only request of it: somebody waits for
 * that one, and a registry that is near would answer the others first. One that is far has the time.
 */
const HEAD_START_MS = 10
/** The scope of a pause that concerns every upstream. */
const ALL = ''

interface Deps {
  readonly manifests: Pick<Manifests, 'recent'>
  /** As a warming does it. */
  readonly download: (
    repository: Repository,
    blob: Descriptor,
    entry: UpstreamEntry,
  ) => Promise<WarmDownload | 'here' | undefined>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Fetches the layers of an image while a client pulls it, ahead of the client: what it asks for next is here by
 * then, or on its way. It is a warming in every respect: behind the clients, evicting nothing that was used
 * within a day, and given up where anything is in the way.
 */
export class Prefetch {
  readonly #deps: Deps
  /** By the image's manifest. */
  readonly #trails: LRUCache<string, Trail>
  readonly #byBlob = new Map<string, Map<string, Trail>>()
  readonly #pauses: LRUCache<string, true>
  readonly #starts = new Set<Promise<void>>()
  /** Those whose first blob has its head start. */
  readonly #held = new WeakSet<Trail>()
  #isStopped = false

  constructor(deps: Deps) {
    this.#deps = deps
    const timing = { ttlResolution: 0, perf: steady(deps.clock) } as const
    this.#pauses = new LRUCache({ max: 1000, ttl: PAUSE_MS, ...timing })
    this.#trails = new LRUCache({
      maxSize: MAX_BLOBS,
      sizeCalculation: ({ blobs }) => blobs.length,
      ttl: FOLLOWED_FOR_MS,
      ...timing,
      dispose: (trail, image) => this.#forget(trail, image),
    })
  }

  /**
   * A client asks for all of a blob. `answered`: settles when upstream has answered for it; `undefined` if it is
   * here. Returns at once, and never throws. Costs nothing where no image is being followed and the blob is here.
   */
  asked(
    repository: Repository,
    digest: Digest,
    entry: UpstreamEntry,
    answered: Promise<unknown> | undefined,
  ): void {
    if (answered === undefined && this.#byBlob.size === 0) return
    if (this.#isStopped || !entry.prefetch || entry.mode === 'offline') return
    const trails = this.#followed(repository, digest)
    for (const trail of trails) {
      trail.asked(digest)
      if (!this.#held.has(trail)) this.#advance(trail, entry)
    }
    if (trails.length > 0 || answered === undefined) return
    const begun = this.#follow(repository, digest)
    if (begun === undefined) return
    begun.asked(digest)
    this.#note(this.#advanceBehind(answered, begun, entry))
  }

  /** Nothing new from now on. */
  stop(): void {
    this.#isStopped = true
  }

  /** Something is being looked up, or waits for its upstream's answer. */
  get isStarting(): boolean {
    return this.#starts.size > 0
  }

  /** Resolves when all that has been begun is a flight, or is not. */
  async started(): Promise<void> {
    while (this.#starts.size > 0) await Promise.all(this.#starts)
  }

  /** Images that name the blob, if one of them has been begun. */
  #followed(repository: Repository, digest: Digest): Trail[] {
    const images = this.#byBlob.get(formatContent(repository, digest))?.keys() ?? []
    // Getting one whose time is over forgets it.
    return [...images].flatMap((image) => this.#trails.get(image) ?? [])
  }

  /** The image that a client of this repository was given last, of those that name the blob. */
  #follow(repository: Repository, digest: Digest): Trail | undefined {
    for (const { descriptor, bytes } of this.#deps.manifests.recent(repository)) {
      const blobs = pulledContent(bytes)
      if (!blobs.some((blob) => blob.digest === digest)) continue
      if (blobs.length === 1) return undefined
      const trail = new Trail(repository, blobs)
      const image = formatContent(repository, descriptor.digest)
      this.#trails.set(image, trail)
      for (const blob of blobs) {
        const name = formatContent(repository, blob.digest)
        const trails = this.#byBlob.get(name) ?? new Map<string, Trail>()
        this.#byBlob.set(name, trails.set(image, trail))
      }
      return trail
    }
    return undefined
  }

  #forget({ repository, blobs }: Trail, image: string): void {
    for (const { digest } of blobs) {
      const name = formatContent(repository, digest)
      const trails = this.#byBlob.get(name)
      trails?.delete(image)
      if (trails?.size === 0) this.#byBlob.delete(name)
    }
  }

  #advance(trail: Trail, entry: UpstreamEntry): void {
    if (!this.#mayAsk(trail.repository, entry)) return
    for (let blob = trail.begin(); blob !== undefined; blob = trail.begin()) {
      this.#note(this.#start(trail, blob, entry))
    }
  }

  /** Gives the first blob its head start. */
  async #advanceBehind(
    answered: Promise<unknown>,
    trail: Trail,
    entry: UpstreamEntry,
  ): Promise<void> {
    this.#held.add(trail)
    // Whoever asked is told of a failure.
    const settled = answered.catch(() => {})
    await Promise.race([settled, this.#deps.clock.sleep(HEAD_START_MS)])
    // What the answer brought goes to whoever asked first of all: it is on its way in this turn.
    await nextTurn()
    this.#held.delete(trail)
    this.#advance(trail, entry)
  }

  #note(start: Promise<void>): void {
    const noted = start.finally(() => this.#starts.delete(noted))
    this.#starts.add(noted)
  }

  #mayAsk(repository: Repository, { client }: UpstreamEntry): boolean {
    const scopes = [ALL, repository.upstream, formatRepository(repository)]
    if (this.#isStopped || scopes.some((scope) => this.#pauses.has(scope))) return false
    return !client.state().isSaving
  }

  async #start(trail: Trail, blob: Descriptor, entry: UpstreamEntry): Promise<void> {
    const { repository } = trail
    try {
      const found = await this.#deps.download(repository, blob, entry)
      if (typeof found === 'object') {
        found.landed.catch((reason: unknown) => this.#pause(repository, reason))
        return
      }
      trail.pass(blob.digest)
      this.#advance(trail, entry)
    } catch (reason) {
      // Whoever wants it asks for it himself, and is told what is wrong.
      this.#pause(repository, reason)
    }
  }

  #pause(repository: Repository, reason: unknown): void {
    const scope = scopeOf(repository, reason)
    const isNews = !this.#pauses.has(scope)
    const isLimited = reason instanceof UpstreamFailure && reason.kind === 'rate-limited'
    this.#pauses.set(scope, true, { ttl: isLimited ? LIMITED_PAUSE_MS : PAUSE_MS })
    if (!isNews || this.#isStopped) return
    this.#deps.log.debug({ ...about(repository), error: reason }, 'paused prefetching')
  }
}

/** Whom a failure concerns: no room everybody, an upstream that does not answer all of it, the rest this repository. */
function scopeOf(repository: Repository, reason: unknown): string {
  if (reason instanceof NoSpace) return ALL
  const isOwn =
    reason instanceof DigestMismatch ||
    (reason instanceof UpstreamFailure && ['denied', 'misbehaved'].includes(reason.kind))
  return isOwn ? formatRepository(repository) : repository.upstream
}
