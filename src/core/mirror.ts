import type { Digest } from '../oci/digest.ts'
import type { Repository, UpstreamName } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { BlobRequest } from './blob-requests.ts'
import { BlobRequests } from './blob-requests.ts'
import type { Wait } from './deadline.ts'
import { newWait } from './deadline.ts'
import type { MirrorEvents } from './events.ts'
import { untold } from './events.ts'
import type { DiskState } from './disk-health.ts'
import { DiskHealth } from './disk-health.ts'
import type { Wanted } from './failure.ts'
import { toRegistryError } from './failure.ts'
import { Flights } from './flights.ts'
import type { RepositoryPage } from './held-repositories.ts'
import { listHeldRepositories } from './held-repositories.ts'
import { listHeldTags } from './held-tags.ts'
import { InUse } from './in-use.ts'
import { KeyedLock } from './keyed-lock.ts'
import type { ListPage } from './lists.ts'
import type { Log } from './log.ts'
import { createControl } from './maintenance/create-control.ts'
import type { MirrorControl } from './maintenance/mirror-control.ts'
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
import type { AccessPolicy, Caller } from './access-policy.ts'
import { createWarmSource, download } from './airgap/create-warm-source.ts'
import type { WarmSource } from './airgap/warm-source.ts'
import type { BlobStore, Catalog, Clock } from './ports.ts'
import { Prefetch } from './prefetch.ts'
import type { QuotaLimits } from './room.ts'
import { evictBlob, Quota } from './quota.ts'
import type { ReferrersRequest } from './referrers.ts'
import { Referrers } from './referrers.ts'
import { RingPool } from './ring-relief.ts'
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
  /** Default: nobody is told. */
  readonly events?: MirrorEvents
}

/** What the mirror does: every request for content ends in one of these methods. They throw RegistryError. */
export class Mirror {
  readonly #deps: MirrorDeps
  readonly #flights: Flights
  readonly #prefetch: Prefetch
  readonly #manifests: ManifestRequests
  readonly #blobs: BlobRequests
  readonly #tagLists: TagLists
  readonly #referrers: Referrers
  readonly #locks = new KeyedLock<Digest>()
  readonly #quota: Quota
  readonly #health: DiskHealth
  /** For maintenance, which goes on while the mirror serves. */
  readonly control: MirrorControl
  /** For warming, which asks upstream as clients do. */
  readonly warmSource: WarmSource

  constructor(deps: MirrorDeps) {
    const { store, catalog, clock, limits, log, events = untold } = deps
    const locks = this.#locks
    const inUse = new InUse((digest, reason) => this.#putAside(digest, reason))
    const health = new DiskHealth({ clock, log })
    const quota = new Quota({ store, catalog, limits, locks, inUse, log, events })
    const shared = { store, catalog, quota, health, locks, clock, log, events }
    const manifests = new Manifests(shared)
    this.#deps = deps
    this.#quota = quota
    this.#health = health
    this.#flights = new Flights({ ...shared, rings: new RingPool(clock) })
    const tags = new Tags({ catalog, manifests, health, clock, log })
    const { upstreams } = deps
    const flights = this.#flights
    const content = { store, catalog, locks, flights, manifests, tags }
    this.control = createControl({ ...content, quota, clock, health, upstreams })
    this.#manifests = new ManifestRequests({ catalog, manifests, tags, clock })
    this.#tagLists = new TagLists(clock)
    this.#referrers = new Referrers({ catalog, manifests: this.#manifests, clock, log })
    const asked = { ...content, upstreams, referrers: this.#referrers, clock }
    this.warmSource = createWarmSource(asked)
    this.#prefetch = new Prefetch({
      manifests,
      download: (repository, blob, entry) =>
        download(repository, blob, entry, { ...content, clock }),
      clock,
      log,
    })
    this.#blobs = new BlobRequests({ ...shared, flights, inUse, prefetch: this.#prefetch })
  }

  /** Finishes what a crash interrupted: evictions whose tombstone is still there. Says if there is little room. */
  async recover(): Promise<void> {
    const { store, catalog, log } = this.#deps
    for (const digest of await catalog.tombstones()) {
      try {
        await evictBlob(digest, store, catalog, this.#locks)
      } catch (reason) {
        // One file that a broken disk does not let go of is no reason to serve nothing.
        log.error({ digest, error: reason }, 'failed to finish evicting blob')
      }
    }
    await this.#quota.warnIfShort()
  }

  async manifest(
    request: ManifestRequest,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<ManifestAnswer> {
    const { repository, reference } = request
    const answer = await this.#answer(repository, 'manifest', caller, signal, (entry, wait) =>
      this.#manifests.answer(request, entry, wait),
    )
    const { catalog, clock } = this.#deps
    catalog.served(repository, reference, clock.now())
    return answer
  }

  /**
   * The same for a manifest that is in memory and may be served without asking anyone: at once. Never a refusal;
   * `undefined` says nothing.
   */
  recallManifest(request: ManifestRequest, caller: Caller): ManifestAnswer | undefined {
    const { access, upstreams, catalog, clock } = this.#deps
    const { repository, reference } = request
    if (!access.decide(caller, repository).allowed) return undefined
    const entry = upstreams.get(repository.upstream)
    const answer = entry && this.#manifests.recall(request, entry)
    if (answer !== undefined) catalog.served(repository, reference, clock.now())
    return answer
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
      entry.mode === 'offline'
        ? listHeldTags(request, this.#deps.catalog)
        : this.#tagLists.answer(request, entry, wait),
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

  /** Whether downloads can be stored; what is stored is served in any case. */
  get disk(): DiskState {
    return this.#health.state
  }

  /** Resolves when every download has landed or failed. */
  async idle(): Promise<void> {
    do {
      await this.#prefetch.started()
      await this.#flights.idle()
    } while (this.#prefetch.isStarting)
  }

  /** Ends all downloads now, for a shutdown that will not wait any longer. */
  async abort(reason: Error): Promise<void> {
    this.#prefetch.stop()
    this.#flights.abort(reason)
    await this.#flights.idle()
  }

  /** The next request for it is a download. Nobody waits for this: the answer that found it is cut already. */
  #putAside(digest: Digest, damage: Error): void {
    const { log } = this.#deps
    log.error({ digest, error: damage }, 'found a damaged blob on disk')
    this.control.quarantine(digest).catch((reason: unknown) => {
      // A disk that cannot read may not write either: then the next reader finds it again.
      log.error({ digest, error: reason }, 'failed to put a damaged blob aside')
    })
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
