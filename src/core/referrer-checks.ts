import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import { OCI_INDEX } from '../oci/media-types.ts'
import type { Repository } from '../oci/reference.ts'
import { formatContent, formatRepository } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import { mergeReferrers, parseReferrers, referrersTag } from '../oci/referrers.ts'
import type { ErrorCode } from '../oci/registry-error.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { Coalescer } from './coalescer.ts'
import { limitTime, newWait } from './deadline.ts'
import { ageOf } from './freshness.ts'
import type { ReferrerList } from './lists.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import type { ManifestRequests } from './manifest-requests.ts'
import type { ManifestAnswer, ReferrersAnswer } from './outcome.ts'
import type { Catalog, Clock } from './ports.ts'
import type { Purpose } from './purpose.ts'
import { steady } from './steady-clock.ts'
import type { UpstreamEntry } from './upstream-entry.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** How long a repository is believed to have no referrers API. Its registry may be upgraded meanwhile. */
const UNSUPPORTED_FOR_MS = 10 * 60_000
/** After a failed check nobody asks again for this long, if there is a list to serve. */
const FAILED_FOR_MS = 5_000
const REMEMBERED = 10_000
const MEMORY_BYTES = 16 * 1024 * 1024
/** Estimates, in bytes. */
const LIST_OVERHEAD = 300
const REFERRER_BYTES = 500
const CHECK_TIMEOUT_MS = 60_000
const NO_SUCH_TAG: ReadonlySet<ErrorCode> = new Set(['MANIFEST_UNKNOWN', 'NAME_UNKNOWN'])

export interface ReferrersAsk {
  readonly repository: Repository
  readonly subject: Digest
  readonly entry: UpstreamEntry
  /** Default: a client. */
  readonly purpose?: Purpose
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
  readonly #failed: LRUCache<string, UpstreamFailure | 'gone'>
  /** By repository: proxies serve some with the API and others without. */
  readonly #unsupported: LRUCache<string, true>
  /** As the catalog knows it, and what it failed to keep or has since given up. */
  readonly #supported = new LRUCache<string, true>({ max: REMEMBERED })
  readonly #checks = new Coalescer<ReferrersAnswer>()

  constructor(deps: ReferrerDeps) {
    const perf = steady(deps.clock)
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
  async known(ask: ReferrersAsk): Promise<ReferrerList | undefined> {
    const { repository, subject } = ask
    const key = keyOf(ask)
    const remembered = this.#lists.get(key)
    if (remembered !== undefined) return remembered
    const list = await this.#deps.catalog.referrerList(repository, subject)
    if (list !== undefined) this.#lists.set(key, list)
    return list
  }

  /** Why the last check brought no list, while it is too recent to try again. */
  recent(ask: ReferrersAsk): UpstreamFailure | 'gone' | undefined {
    return this.#failed.get(keyOf(ask))
  }

  /** What upstream says now. Rejects with UpstreamFailure: no answer is not an empty one. */
  run(ask: ReferrersAsk): { readonly result: Promise<ReferrersAnswer>; readonly first: boolean } {
    const key = keyOf(ask)
    // A client does not wait for a warming that may itself be waiting for its turn.
    const isApart = ask.purpose === 'warm' && !this.#checks.has(key)
    return this.#checks.run(isApart ? `${key} ${ask.purpose}` : key, async () => {
      try {
        const what = `the referrers of ${key}`
        return await limitTime(CHECK_TIMEOUT_MS, this.#deps.clock, what, (signal) =>
          this.#check(ask, signal),
        )
      } catch (reason) {
        this.#noteFailure(ask, reason)
        throw reason
      }
    })
  }

  /** What was said of the subject before, by the API and under the tag that stands in for it. Asks nobody. */
  async listed(ask: ReferrersAsk, signal: AbortSignal): Promise<readonly Referrer[]> {
    const known = await this.known(ask)
    const tagged = await this.#fromTag({ ...ask, entry: { ...ask.entry, mode: 'offline' } }, signal)
    return mergeReferrers(known?.referrers ?? [], tagged?.referrers ?? [])
  }

  /** An answer from what is known, with the reason why it is not confirmed. */
  stale(ask: ReferrersAsk, known: ReferrerList, detail: string): ReferrersAnswer {
    const age = ageOf(known.checkedAt, this.#deps.clock.now())
    const since = `last confirmed ${Math.round(age / 1000)} s ago (${detail})`
    const warning = `the referrers of ${keyOf(ask)} come from the cache, ${since}`
    return { outcome: 'stale', detail, age, warning, referrers: known.referrers }
  }

  async #check(ask: ReferrersAsk, signal: AbortSignal): Promise<ReferrersAnswer> {
    const { repository, subject, entry } = ask
    const checkedAt = this.#deps.clock.now()
    const name = formatRepository(repository)
    const listed = this.#unsupported.has(name)
      ? 'unsupported'
      : await entry.client.listReferrers(repository.name, subject, signal)
    if (listed !== undefined && listed !== 'unsupported') {
      this.#supported.set(name, true)
      this.#unsupported.delete(name)
      await this.#keep(ask, { referrers: listed, checkedAt, source: 'api' })
      return { outcome: 'miss', referrers: listed }
    }
    const found = await this.#fromTag(ask, signal)
    // Only now: what answered the tag as well is the registry, and not something in front of it.
    if (listed === 'unsupported') await this.#judgeUnsupported(repository, found)
    if (found === undefined) return this.#afterGone(ask, checkedAt)
    // A hit was confirmed some time ago, and a stale answer not at all: neither is news.
    if (found.outcome !== 'hit' && found.outcome !== 'stale') {
      await this.#keep(ask, { referrers: found.referrers, checkedAt, source: 'tag' })
    }
    return found
  }

  /** The registry itself says that there is no list: nothing refers to the subject. */
  async #afterGone(ask: ReferrersAsk, checkedAt: number): Promise<ReferrersAnswer> {
    const { repository, subject, entry } = ask
    const known = await this.known(ask)
    if (entry.tags.onGone === 'keep' && known !== undefined && known.referrers.length > 0) {
      const fields = { ...about(repository), digest: subject }
      this.#deps.log.info(fields, 'kept referrers that upstream dropped')
      this.#failed.set(keyOf(ask), 'gone')
      return this.stale(ask, known, 'upstream-gone')
    }
    await this.#keep(ask, { referrers: [], checkedAt, source: 'tag' })
    return { outcome: 'miss', referrers: [] }
  }

  /** distribution-spec "Referrers Tag Schema", for registries without the API; `undefined`: no such tag. */
  async #fromTag(
    { repository, subject, entry }: ReferrersAsk,
    signal: AbortSignal,
  ): Promise<ReferrersAnswer | undefined> {
    const reference = { kind: 'tag', tag: referrersTag(subject) } as const
    // Nobody comes here who does not want to know what upstream says, unless that is not to be asked.
    const mode = entry.mode === 'offline' ? 'offline' : 'online'
    // Whatever globs say: this tag moves whenever somebody signs.
    const tags = { ...entry.tags, isImmutable: () => false }
    const request = { repository, reference, need: 'manifest', acceptsIndex: true } as const
    try {
      const wait = newWait(this.#deps.clock, signal)
      const answer = await this.#deps.manifests.answer(request, { ...entry, tags, mode }, wait)
      const { descriptor: _, bytes: __, ...how } = answer
      return { ...how, referrers: readIndex(answer, subject) }
    } catch (reason) {
      if (!(reason instanceof RegistryError) || !NO_SUCH_TAG.has(reason.code)) throw reason
      // The registry itself says so, or it is offline, and then what is here does.
      return undefined
    }
  }

  async #keep(ask: ReferrersAsk, list: ReferrerList): Promise<void> {
    const { repository, subject } = ask
    const { catalog, log } = this.#deps
    const key = keyOf(ask)
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

  /**
   * Remembers it, unless the API of that repository has answered before: then something in front of the
   * registry speaks, and only a list that is there is believed. Throws UpstreamFailure.
   */
  async #judgeUnsupported(
    repository: Repository,
    found: ReferrersAnswer | undefined,
  ): Promise<void> {
    const { catalog, log } = this.#deps
    const name = formatRepository(repository)
    const isStale = found?.outcome === 'stale'
    if (this.#supported.has(name) || (await catalog.hasListFromApi(repository))) {
      if (found !== undefined && found.referrers.length > 0 && !isStale) return
      const message = `${name}: its registry has listed referrers before, and now denies that it can`
      throw new UpstreamFailure('misbehaved', message)
    }
    if (isStale || this.#unsupported.has(name)) return
    this.#unsupported.set(name, true)
    log.debug(about(repository), 'found no referrers api')
  }

  #noteFailure(ask: ReferrersAsk, reason: unknown): void {
    if (!(reason instanceof UpstreamFailure)) return
    const { repository, subject } = ask
    this.#failed.set(keyOf(ask), reason)
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

/** `docker.io/library/alpine@sha256:…`: how people write it, so also what messages say. */
export function keyOf({ repository, subject }: ReferrersAsk): string {
  return formatContent(repository, subject)
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
