import type { Descriptor } from '../oci/descriptor.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import { formatTag } from '../oci/reference.ts'
import type { Wait } from './deadline.ts'
import { LATE, waitFor, waitUntil } from './deadline.ts'
import type { Freshness } from './freshness.ts'
import { ageOf, judge, mayServeStale } from './freshness.ts'
import { about } from './log.ts'
import type { Answer } from './outcome.ts'
import type { Sighting, TagDeps, TagRequest } from './tag-checks.ts'
import { TagChecks } from './tag-checks.ts'
import type { ManifestBody } from './upstream.ts'
import type { FailureKind } from './upstream-failure.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** What a tag points at, and how we know. */
export interface Resolution extends Answer {
  readonly descriptor: Descriptor
  /** The manifest itself, if finding out brought it along. */
  readonly body?: ManifestBody
  /** Frozen by the operator: what upstream calls by this name now is no answer. */
  readonly isHeld?: true
  /** Milliseconds since the epoch: from then on an older copy is better than waiting. */
  readonly patientUntil: number
}

/** Why a tag was not checked: `detail=` of its answer. */
const SPARED = 'rate-limit-reserve'

/** Turns tags into digests, asking upstream as rarely as the policy allows. */
export class Tags {
  readonly #deps: TagDeps
  readonly #checks: TagChecks

  constructor(deps: TagDeps) {
    this.#deps = deps
    this.#checks = new TagChecks(deps)
  }

  /**
   * `need` says whether the caller wants the manifest itself: a cold tag then costs one GET instead of a
   * HEAD and a GET. `undefined`: upstream has no such tag.
   */
  async resolve(
    ask: TagRequest,
    need: 'descriptor' | 'manifest',
    wait: Wait,
  ): Promise<Resolution | undefined> {
    const known = await this.#checks.known(ask)
    if (known === undefined) return this.#resolveCold(ask, need, wait)
    switch (this.#judge(ask, known)) {
      case 'fresh':
        return toResolution(known, { outcome: 'hit' })
      case 'usable':
        if (ask.upstream.state().isSaving) return this.stale(ask, known, SPARED)
        this.#checkInBackground(ask, known)
        return this.stale(ask, known, 'revalidating')
      case 'expired':
        if (this.#isSpared(ask, known)) return this.stale(ask, known, SPARED)
        return this.#revalidate(ask, known, wait)
    }
  }

  /** A fresh answer from memory, at once; `undefined` says nothing. */
  recall(ask: TagRequest): Resolution | undefined {
    const known = this.#checks.recall(ask)
    if (known === undefined || this.#judge(ask, known) !== 'fresh') return undefined
    return toResolution(known, { outcome: 'hit' })
  }

  /** What its row says, however old that is, if the manifest is here too. */
  async here({ repository, tag }: TagRequest): Promise<Resolution | undefined> {
    const { catalog, manifests } = this.#deps
    const row = await catalog.resolve(repository, tag)
    const body = row && (await manifests.held(repository, row.manifest.digest))
    if (body === undefined) return undefined
    return { outcome: 'hit', descriptor: body.descriptor, body, patientUntil: Infinity }
  }

  /** Its row has been changed by other hands than upstream's. */
  forget(repository: Repository, tag: Tag): void {
    this.#checks.forget({ repository, tag })
  }

  /**
   * What upstream says now, however fresh the copy is, and nothing instead: rejects with UpstreamFailure. A
   * tag that is held, or that is here and never moves, is not asked about. `undefined`: it is gone.
   */
  async check(ask: TagRequest): Promise<Sighting | undefined> {
    const known = await this.#checks.known(ask)
    if (known !== undefined && isSettled(known, ask)) return known
    const found = await this.#checks.head(ask).result
    if (found === undefined && known !== undefined) await this.#afterGone(ask, known)
    return found
  }

  /** The same for those who only want to know: nothing of it is remembered, and the tag stays where it is. */
  async look(ask: TagRequest): Promise<Descriptor | undefined> {
    const known = await this.#checks.known(ask)
    if (known !== undefined && isSettled(known, ask)) return known.descriptor
    return this.#checks.look(ask)
  }

  /** For when upstream no longer has the digest that it named a moment ago: asks by tag, once. */
  async reget(ask: TagRequest, wait: Wait): Promise<Resolution | undefined> {
    const { result, first } = this.#checks.get(ask)
    const found = await waitFor(result, wait, this.#deps.clock, formatTag(ask.repository, ask.tag))
    return found && toResolution(found, { outcome: first ? 'miss' : 'joined' })
  }

  /** An answer from what is here, with the reason why it is not confirmed. */
  stale(ask: TagRequest, known: Sighting, detail: string): Resolution {
    const age = ageOf(known.checkedAt, this.#deps.clock.now())
    const name = formatTag(ask.repository, ask.tag)
    const warning = `${name} comes from the cache, last confirmed ${Math.round(age / 1000)} s ago (${detail})`
    return toResolution(known, { outcome: 'stale', detail, age, warning })
  }

  #judge({ repository, tag, policy }: TagRequest, known: Sighting): Freshness {
    if (known.isHeld === true) return 'fresh'
    const isImmutable = policy.isImmutable(repository.name, tag)
    return judge(known.checkedAt, policy, isImmutable, this.#deps.clock.now())
  }

  /** What pulls are left is for what is not here yet, for as long as the copy may stand in for an answer. */
  #isSpared({ upstream, policy }: TagRequest, { checkedAt }: Sighting): boolean {
    const now = this.#deps.clock.now()
    return upstream.state().isSaving && mayServeStale('rate-limited', checkedAt, policy, now)
  }

  async #resolveCold(
    ask: TagRequest,
    need: 'descriptor' | 'manifest',
    wait: Wait,
  ): Promise<Resolution | undefined> {
    if (this.#checks.isAbsent(ask)) return undefined
    if (need === 'manifest') return this.reget(ask, wait)
    const { result, first } = this.#checks.head(ask)
    const found = await waitFor(result, wait, this.#deps.clock, formatTag(ask.repository, ask.tag))
    return found && toResolution(found, { outcome: first ? 'miss' : 'joined' })
  }

  async #revalidate(ask: TagRequest, known: Sighting, wait: Wait): Promise<Resolution | undefined> {
    const recent = this.#checks.recentFailure(ask)
    if (recent !== undefined) return this.#afterFailure(ask, known, recent)
    if (this.#checks.isAbsent(ask)) return this.#afterGone(ask, known)
    const { clock } = this.#deps
    const { startedAt, result } = this.#checks.head(ask)
    const patientUntil = startedAt + ask.policy.patience
    try {
      let found = await waitUntil(result, patientUntil, clock, wait.signal)
      if (found === LATE) {
        // An upstream that is slow is no reason to wait, as long as the copy may still be used.
        const copy = await this.#usable(ask, known, 'timeout')
        if (copy !== undefined) return this.stale(ask, copy, 'upstream-slow')
        found = await waitFor(result, wait, clock, formatTag(ask.repository, ask.tag))
      }
      if (found === undefined) return await this.#afterGone(ask, known)
      const isSame = found.descriptor.digest === known.descriptor.digest
      return toResolution(found, { outcome: isSame ? 'revalidated' : 'miss' }, patientUntil)
    } catch (reason) {
      if (reason instanceof UpstreamFailure) return this.#afterFailure(ask, known, reason)
      throw reason
    }
  }

  /** Nobody waits for it: what it finds is served to the next request. */
  #checkInBackground(ask: TagRequest, known: Sighting): void {
    if (this.#checks.recentFailure(ask) !== undefined || this.#checks.isAbsent(ask)) return
    const { repository, tag, upstream } = ask
    const { manifests, log } = this.#deps
    const check = async () => {
      const found = await this.#checks.head(ask).result
      if (found === undefined) {
        await this.#afterGone(ask, known)
        return
      }
      const { digest } = found.descriptor
      if (found.body !== undefined || digest === known.descriptor.digest) return
      if (await manifests.held(repository, digest)) return
      await manifests.fetch(repository, digest, upstream).result
    }
    check().catch((reason: unknown) => {
      // The copy has been served; the next request finds the failure in the memory of checks.
      log.debug({ ...about(repository), tag, error: reason }, 'failed to check tag in background')
    })
  }

  async #afterFailure(
    ask: TagRequest,
    known: Sighting,
    failure: UpstreamFailure,
  ): Promise<Resolution> {
    const copy = await this.#usable(ask, known, failure.kind)
    if (copy === undefined) throw failure
    return this.stale(ask, copy, `upstream-${failure.kind}`)
  }

  /** What may stand in for an answer that upstream did not give; a tag that is never dropped, at any age. */
  async #usable(
    ask: TagRequest,
    known: Sighting,
    kind: FailureKind,
  ): Promise<Sighting | undefined> {
    const { catalog, clock } = this.#deps
    const { repository, tag, policy } = ask
    if (kind === 'denied' && policy.onGone === 'keep') return known
    if (mayServeStale(kind, known.checkedAt, policy, clock.now())) return known
    if (!(await catalog.keepsTag(repository, tag))) return undefined
    // Not what upstream has named since, which never came.
    const row = await catalog.resolve(repository, tag)
    return row && { descriptor: row.manifest, checkedAt: row.checkedAt }
  }

  async #afterGone(ask: TagRequest, known: Sighting): Promise<Resolution | undefined> {
    const { repository, tag, policy } = ask
    const kept = policy.onGone === 'keep' ? known : await this.#drop(ask)
    const { digest } = (kept ?? known).descriptor
    const done = kept === undefined ? 'dropped' : 'kept'
    this.#deps.log.info({ ...about(repository), tag, digest }, `${done} tag that upstream dropped`)
    return kept && this.stale(ask, kept, 'upstream-gone')
  }

  /** Resolves to what stays, because its manifest is pinned or it has been held meanwhile. */
  async #drop(ask: TagRequest): Promise<Sighting | undefined> {
    const { catalog, health, clock, log } = this.#deps
    const { repository, tag } = ask
    this.#checks.drop(ask)
    try {
      if (await catalog.dropTag(repository, tag, clock.now())) return undefined
      return await this.#checks.known(ask)
    } catch (reason) {
      // Upstream's answer stands; the row goes when it is next asked for.
      const level = health.isToBlame(reason) ? 'debug' : 'error'
      log[level]({ ...about(repository), tag, error: reason }, 'failed to drop tag')
      return undefined
    }
  }
}

function toResolution(found: Sighting, answer: Answer, patientUntil = Infinity): Resolution {
  const { descriptor, body, isHeld } = found
  return { ...answer, descriptor, patientUntil, ...(body && { body }), ...(isHeld && { isHeld }) }
}

/** Nobody asks upstream about it: it is held, or never moves. */
function isSettled({ isHeld }: Sighting, { repository, tag, policy }: TagRequest): boolean {
  return isHeld === true || policy.isImmutable(repository.name, tag)
}
