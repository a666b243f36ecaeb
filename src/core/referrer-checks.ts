import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import { OCI_INDEX } from '../oci/media-types.ts'
import type { Repository, UpstreamName } from '../oci/reference.ts'
import { formatRepository } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import { parseReferrers, referrersTag } from '../oci/referrers.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { Coalescer } from './coalescer.ts'
import { newWait } from './deadline.ts'
import type { ReferrerList } from './lists.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import type { ManifestRequests } from './manifest-requests.ts'
import type { ManifestAnswer, ReferrersAnswer } from './outcome.ts'
import type { Catalog, Clock } from './ports.ts'
import { UpstreamFailure } from './ports.ts'
import type { UpstreamEntry } from './upstream-entry.ts'

/** How long a registry is believed to have no referrers API. It may be upgraded meanwhile. */
const UNSUPPORTED_FOR_MS = 10 * 60_000
/** After a failed check nobody asks again for this long, if there is a list to serve. */
const FAILED_FOR_MS = 5_000
const REMEMBERED = 10_000
const MEMORY_BYTES = 16 * 1024 * 1024
/** Estimates, in bytes. */
const LIST_OVERHEAD = 300
const REFERRER_BYTES = 500
const CHECK_TIMEOUT_MS = 60_000

export interface ReferrersAsk {
  readonly repository: Repository
  readonly subject: Digest
  readonly entry: UpstreamEntry
}

export interface ReferrerDeps {
  readonly catalog: Catalog
  readonly manifests: Pick<ManifestRequests, 'answer'>
  readonly clock: Clock
  readonly log: Log
}

/** Asks upstream for lists of referrers, one question at a time per subject, and keeps the answers. */
export class ReferrerChecks {
  readonly #deps: ReferrerDeps
  readonly #lists: LRUCache<string, ReferrerList>
  readonly #failed: LRUCache<string, UpstreamFailure>
  readonly #unsupported: LRUCache<UpstreamName, true>
  readonly #checks = new Coalescer<ReferrersAnswer>()

  constructor(deps: ReferrerDeps) {
    const perf = deps.clock
    this.#deps = deps
    this.#lists = new LRUCache({
      maxSize: MEMORY_BYTES,
      sizeCalculation: ({ referrers }) => LIST_OVERHEAD + sizeOf(referrers),
    })
    this.#failed = new LRUCache({ max: REMEMBERED, ttl: FAILED_FOR_MS, ttlResolution: 0, perf })
    this.#unsupported = new LRUCache({
      max: REMEMBERED,
      ttl: UNSUPPORTED_FOR_MS,
      ttlResolution: 0,
      perf,
    })
  }

  /** The last list that upstream gave, without asking. */
  async known({ repository, subject }: ReferrersAsk): Promise<ReferrerList | undefined> {
    const key = keyOf(repository, subject)
    const remembered = this.#lists.get(key)
    if (remembered !== undefined) return remembered
    const list = await this.#deps.catalog.referrerList(repository, subject)
    if (list !== undefined) this.#lists.set(key, list)
    return list
  }

  recentFailure({ repository, subject }: ReferrersAsk): UpstreamFailure | undefined {
    return this.#failed.get(keyOf(repository, subject))
  }

  /** What upstream says now. Rejects with UpstreamFailure: no answer is not an empty one. */
  run(ask: ReferrersAsk): { readonly result: Promise<ReferrersAnswer>; readonly first: boolean } {
    const key = keyOf(ask.repository, ask.subject)
    return this.#checks.run(key, async () => {
      try {
        return await this.#check(ask, key)
      } catch (reason) {
        this.#noteFailure(ask, key, reason)
        throw reason
      }
    })
  }

  async #check(ask: ReferrersAsk, key: string): Promise<ReferrersAnswer> {
    const { repository, subject, entry } = ask
    const checkedAt = this.#deps.clock.now()
    const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS)
    const listed = this.#unsupported.has(repository.upstream)
      ? 'unsupported'
      : await entry.client.listReferrers(repository.name, subject, signal)
    if (listed !== undefined && listed !== 'unsupported') {
      await this.#keep(ask, key, { referrers: listed, checkedAt })
      return { outcome: 'miss', referrers: listed }
    }
    const found = await this.#fromTag(ask, signal)
    // Only now: what answered the tag as well is the registry, and not something in front of it.
    if (listed === 'unsupported') this.#noteUnsupported(repository.upstream)
    // A hit was confirmed some time ago, and a stale answer not at all: neither is news.
    if (found.outcome !== 'hit' && found.outcome !== 'stale') {
      await this.#keep(ask, key, { referrers: found.referrers, checkedAt })
    }
    return found
  }

  /** distribution-spec "Referrers Tag Schema", for registries without the API. */
  async #fromTag(
    { repository, subject, entry }: ReferrersAsk,
    signal: AbortSignal,
  ): Promise<ReferrersAnswer> {
    const reference = { kind: 'tag', tag: referrersTag(subject) } as const
    // Whatever globs say: this tag moves whenever somebody signs.
    const tags = { ...entry.tags, isImmutable: () => false }
    const request = { repository, reference, need: 'manifest', acceptsIndex: true } as const
    try {
      const wait = newWait(this.#deps.clock, signal)
      const answer = await this.#deps.manifests.answer(request, { ...entry, tags }, wait)
      const { descriptor: _, bytes: __, ...how } = answer
      return { ...how, referrers: readIndex(answer, subject) }
    } catch (reason) {
      if (!(reason instanceof RegistryError) || reason.code !== 'MANIFEST_UNKNOWN') throw reason
      // The registry itself says that there is no list: nothing refers to the subject.
      return { outcome: 'miss', referrers: [] }
    }
  }

  async #keep({ repository, subject }: ReferrersAsk, key: string, list: ReferrerList) {
    const { catalog, log } = this.#deps
    this.#failed.delete(key)
    this.#lists.set(key, list)
    try {
      await catalog.keepReferrerList(repository, subject, list)
    } catch (reason) {
      // Upstream has answered, and the memory has it; only a restart would miss it.
      log.error(
        { ...about(repository), digest: subject, error: reason },
        'failed to keep referrers',
      )
    }
  }

  #noteUnsupported(upstream: UpstreamName): void {
    if (this.#unsupported.has(upstream)) return
    this.#unsupported.set(upstream, true)
    this.#deps.log.debug({ upstream }, 'found no referrers api')
  }

  #noteFailure({ repository, subject }: ReferrersAsk, key: string, reason: unknown): void {
    if (!(reason instanceof UpstreamFailure)) return
    this.#failed.set(key, reason)
    this.#deps.log.warn(
      { ...about(repository), digest: subject, kind: reason.kind, error: reason },
      'failed to list referrers',
    )
  }
}

/** GitLab resolves `sha256-<hex>` to the image itself, which may be an index as well. */
function readIndex({ descriptor, bytes }: ManifestAnswer, subject: Digest): readonly Referrer[] {
  const isList = descriptor.mediaType === OCI_INDEX && descriptor.digest !== subject
  return isList && bytes !== undefined ? parseReferrers(bytes) : []
}

function keyOf(repository: Repository, subject: Digest): string {
  return `${formatRepository(repository)}@${subject}`
}

function sizeOf(referrers: readonly Referrer[]): number {
  return referrers.reduce(
    (sum, { annotations }) =>
      sum +
      REFERRER_BYTES +
      (annotations === undefined ? 0 : 2 * JSON.stringify(annotations).length),
    0,
  )
}
