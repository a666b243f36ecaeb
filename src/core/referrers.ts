import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import { mergeReferrers } from '../oci/referrers.ts'
import type { Wait } from './deadline.ts'
import { LATE, waitFor, waitUntil } from './deadline.ts'
import { judge, mayServeStale } from './freshness.ts'
import type { ReferrerList } from './lists.ts'
import type { ReferrersAnswer } from './outcome.ts'
import type { ReferrerDeps, ReferrersAsk } from './referrer-checks.ts'
import { keyOf, ReferrerChecks } from './referrer-checks.ts'
import type { UpstreamEntry } from './upstream-entry.ts'
import type { FailureKind } from './upstream-failure.ts'
import { UpstreamFailure } from './upstream-failure.ts'

export interface ReferrersRequest {
  readonly repository: Repository
  readonly subject: Digest
  /** Only referrers of this type. */
  readonly artifactType: string | undefined
}

/**
 * What refers to a manifest. The list has a tag's freshness, and where upstream gives no answer the last
 * one stands in for it or the request fails: an outage never looks like an image that nobody signed.
 */
export class Referrers {
  readonly #deps: ReferrerDeps
  readonly #checks: ReferrerChecks

  constructor(deps: ReferrerDeps) {
    this.#deps = deps
    this.#checks = new ReferrerChecks(deps)
  }

  async answer(
    { repository, subject, artifactType }: ReferrersRequest,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<ReferrersAnswer> {
    const ask = { repository, subject, entry }
    const found = await (entry.mode === 'offline' ? this.#held(ask, wait) : this.#find(ask, wait))
    // Upstream may have lost what we hold, or not have indexed it (a registry without the API).
    const held = await this.#deps.catalog.heldReferrers(repository, subject)
    const all = mergeReferrers(found.referrers, held)
    if (artifactType === undefined) return { ...found, referrers: all }
    return { ...found, referrers: all.filter((one) => one.artifactType === artifactType) }
  }

  /** What upstream says now; rejects with UpstreamFailure where it says nothing. */
  check(ask: ReferrersAsk): Promise<ReferrersAnswer> {
    return this.#checks.run(ask).result
  }

  async #find(ask: ReferrersAsk, wait: Wait): Promise<ReferrersAnswer> {
    const known = await this.#checks.known(ask)
    if (known === undefined) return this.#ask(ask, wait)
    if (ask.entry.mode === 'cache-first') {
      return { outcome: 'hit', detail: 'cache-first', referrers: known.referrers }
    }
    const { clock } = this.#deps
    switch (judge(known.checkedAt, ask.entry.tags, false, clock.now())) {
      case 'fresh':
        return { outcome: 'hit', referrers: known.referrers }
      case 'usable':
        // Nobody waits for it, and its failure is remembered and logged.
        if (this.#checks.recent(ask) === undefined) this.#checks.run(ask)
        return this.#checks.stale(ask, known, 'revalidating')
      case 'expired':
        return this.#renew(ask, known, wait)
    }
  }

  /** An entry of a list is worth something only where its manifest is here: nobody can be asked for it. */
  async #held(ask: ReferrersAsk, wait: Wait): Promise<ReferrersAnswer> {
    const { catalog } = this.#deps
    const { repository } = ask
    const referrers: Referrer[] = []
    for (const referrer of await this.#checks.listed(ask, wait.signal)) {
      if ((await catalog.manifest(repository, referrer.digest)) === undefined) continue
      const { storedSize } = await catalog.holding(repository, referrer.digest)
      if (storedSize !== undefined) referrers.push(referrer)
    }
    return { outcome: 'hit', detail: 'offline', referrers }
  }

  async #ask(ask: ReferrersAsk, wait: Wait): Promise<ReferrersAnswer> {
    const { result, first } = this.#checks.run(ask)
    const what = `the referrers of ${keyOf(ask)}`
    const answer = await waitFor(result, wait, this.#deps.clock, what)
    return first || answer.outcome !== 'miss' ? answer : { ...answer, outcome: 'joined' }
  }

  async #renew(ask: ReferrersAsk, known: ReferrerList, wait: Wait): Promise<ReferrersAnswer> {
    const { clock } = this.#deps
    const recent = this.#checks.recent(ask)
    if (recent === 'gone') return this.#checks.stale(ask, known, 'upstream-gone')
    if (recent !== undefined) return this.#instead(ask, known, recent)
    try {
      const { result } = this.#checks.run(ask)
      const patientUntil = clock.now() + ask.entry.tags.patience
      const answer = await waitUntil(result, patientUntil, clock, wait.signal)
      if (answer !== LATE) return answer
      if (this.#mayStand(ask, known, 'timeout')) {
        return this.#checks.stale(ask, known, 'upstream-slow')
      }
      return await this.#ask(ask, wait)
    } catch (reason) {
      if (reason instanceof UpstreamFailure) return this.#instead(ask, known, reason)
      throw reason
    }
  }

  #instead(ask: ReferrersAsk, known: ReferrerList, failure: UpstreamFailure): ReferrersAnswer {
    if (!this.#mayStand(ask, known, failure.kind)) throw failure
    return this.#checks.stale(ask, known, `upstream-${failure.kind}`)
  }

  #mayStand({ entry }: ReferrersAsk, known: ReferrerList, kind: FailureKind): boolean {
    if (kind === 'denied' && entry.tags.onGone === 'keep') return true
    return mayServeStale(kind, known.checkedAt, entry.tags, this.#deps.clock.now())
  }
}
