import type { Digest } from '../oci/digest.ts'
import type { Repository, UpstreamName } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { BlobRequest } from './blob-requests.ts'
import { BlobRequests } from './blob-requests.ts'
import type { Wait } from './deadline.ts'
import { newWait } from './deadline.ts'
import type { Wanted } from './failure.ts'
import { toRegistryError } from './failure.ts'
import { Flights } from './flights.ts'
import type { RepositoryPage } from './held-repositories.ts'
import { listHeldRepositories } from './held-repositories.ts'
import { KeyedLock } from './keyed-lock.ts'
import type { ListPage } from './lists.ts'
import type { Log } from './log.ts'
import type { ManifestRequest } from './manifest-requests.ts'
import { ManifestRequests } from './manifest-requests.ts'
import { Manifests } from './manifests.ts'
import type {
  BlobAnswer,
  BlobFacts,
  ManifestAnswer,
  ReferrersAnswer,
  TagListAnswer,
} from './outcome.ts'
import type { AccessPolicy, BlobStore, Caller, Catalog, Clock } from './ports.ts'
import type { QuotaLimits } from './quota.ts'
import { evictBlob, Quota } from './quota.ts'
import type { ReferrersRequest } from './referrers.ts'
import { Referrers } from './referrers.ts'
import type { TagListRequest } from './tag-lists.ts'
import { TagLists } from './tag-lists.ts'
import { Tags } from './tags.ts'
import type { UpstreamEntry } from './upstream-entry.ts'

export interface MirrorDeps {
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamEntry>
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly access: AccessPolicy
  readonly limits: QuotaLimits
  readonly clock: Clock
  readonly log: Log
}

/** What the mirror does: every request for content ends in one of these methods. They throw RegistryError. */
export class Mirror {
  readonly #deps: MirrorDeps
  readonly #flights: Flights
  readonly #manifests: ManifestRequests
  readonly #blobs: BlobRequests
  readonly #tagLists: TagLists
  readonly #referrers: Referrers
  readonly #locks = new KeyedLock<Digest>()

  constructor(deps: MirrorDeps) {
    const { store, catalog, clock, limits, log } = deps
    const locks = this.#locks
    const quota = new Quota({ store, catalog, limits, locks, log })
    const shared = { store, catalog, quota, locks, clock, log }
    const manifests = new Manifests(shared)
    this.#deps = deps
    this.#flights = new Flights(shared)
    const tags = new Tags({ catalog, manifests, clock, log })
    this.#manifests = new ManifestRequests({ catalog, manifests, tags, clock })
    this.#tagLists = new TagLists(clock)
    this.#referrers = new Referrers({ catalog, manifests: this.#manifests, clock, log })
    this.#blobs = new BlobRequests({ store, catalog, flights: this.#flights, clock })
  }

  /** Finishes what a crash interrupted: evictions whose tombstone is still there. */
  async recover(): Promise<void> {
    const { store, catalog } = this.#deps
    for (const digest of await catalog.tombstones()) {
      await evictBlob(digest, store, catalog, this.#locks)
    }
  }

  manifest(request: ManifestRequest, caller: Caller, signal: AbortSignal): Promise<ManifestAnswer> {
    return this.#answer(request.repository, 'manifest', caller, signal, (entry, wait) =>
      this.#manifests.answer(request, entry, wait),
    )
  }

  /** The caller has to close the answer's blob. */
  openBlob(request: BlobRequest, caller: Caller, signal: AbortSignal): Promise<BlobAnswer> {
    return this.#answer(request.repository, 'blob', caller, signal, (entry, wait) =>
      this.#blobs.open(request, entry, wait),
    )
  }

  /** What HEAD asks; downloads nothing. */
  blobFacts(request: BlobRequest, caller: Caller, signal: AbortSignal): Promise<BlobFacts> {
    return this.#answer(request.repository, 'blob', caller, signal, (entry, wait) =>
      this.#blobs.facts(request, entry, wait),
    )
  }

  tags(request: TagListRequest, caller: Caller, signal: AbortSignal): Promise<TagListAnswer> {
    return this.#answer(request.repository, 'tags', caller, signal, (entry, wait) =>
      this.#tagLists.answer(request, entry, wait),
    )
  }

  referrers(
    request: ReferrersRequest,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<ReferrersAnswer> {
    return this.#answer(request.repository, 'referrers', caller, signal, (entry, wait) =>
      this.#referrers.answer(request, entry, wait),
    )
  }

  /** What is here of one upstream or of all, whatever they say. */
  repositories(
    upstream: UpstreamName | undefined,
    page: ListPage,
    caller: Caller,
  ): Promise<RepositoryPage> {
    return listHeldRepositories(this.#deps, upstream, page, caller)
  }

  /** Resolves when every download has landed or failed. */
  idle(): Promise<void> {
    return this.#flights.idle()
  }

  /** Ends all downloads now, for a shutdown that will not wait any longer. */
  async abort(reason: Error): Promise<void> {
    this.#flights.abort(reason)
    await this.#flights.idle()
  }

  async #answer<T>(
    repository: Repository,
    what: Wanted,
    caller: Caller,
    signal: AbortSignal,
    answer: (entry: UpstreamEntry, wait: Wait) => Promise<T>,
  ): Promise<T> {
    const { access, upstreams, clock } = this.#deps
    // Before any look-up: what the cache holds must not show to those who may not read it.
    const verdict = access.decide(caller, repository)
    if (!verdict.allowed)
      throw new RegistryError(verdict.code, `refused by the rule "${verdict.rule}"`)
    const entry = upstreams.get(repository.upstream)
    if (entry === undefined) {
      throw new RegistryError(
        'NAME_UNKNOWN',
        `${repository.upstream} is not an upstream of this mirror`,
      )
    }
    try {
      return await answer(entry, newWait(clock, signal))
    } catch (reason) {
      throw toRegistryError(reason, what)
    }
  }
}
