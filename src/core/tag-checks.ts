import { LRUCache } from 'lru-cache'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import { formatTag } from '../oci/reference.ts'
import { Coalescer } from './coalescer.ts'
import { limitTime } from './deadline.ts'
import type { DiskHealth } from './disk-health.ts'
import type { TagPolicy } from './freshness.ts'
import { believe } from './freshness.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import type { Manifests } from './manifests.ts'
import type { Catalog, Clock, TagCheck, TagRecord } from './ports.ts'
import type { Purpose } from './purpose.ts'
import { steady } from './steady-clock.ts'
import type { ManifestBody, Upstream } from './upstream.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/** How long "no such tag" is believed. Short, because a tag may be pushed a moment later. */
const ABSENT_FOR_MS = 10_000
/** After a failed check nobody asks again for this long, if there is a copy to serve. */
const FAILED_FOR_MS = 5_000
const REMEMBERED = 10_000
/** A bound on upstream's time whoever is still waiting. */
const CHECK_TIMEOUT_MS = 60_000

export interface TagRequest {
  readonly repository: Repository
  readonly tag: Tag
  readonly upstream: Upstream
  readonly policy: TagPolicy
  /** Default: a client. */
  readonly purpose?: Purpose
}

/** A digest that upstream named for a tag, at a time (ms since the epoch). */
export interface Sighting {
  readonly descriptor: Descriptor
  readonly checkedAt: number
  /** Frozen by the operator: nobody asks upstream about it. */
  readonly isHeld?: true
  /** The manifest itself, if finding out brought it along. */
  readonly body?: ManifestBody
}

export interface Check {
  readonly startedAt: number
  readonly result: Promise<Sighting | undefined>
  /** Whether it was started for this caller. */
  readonly first: boolean
}

export interface TagDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly health: DiskHealth
  readonly clock: Clock
  readonly log: Log
}

/** Asks upstream about tags, one question at a time per tag, and remembers the answers in memory. */
export class TagChecks {
  readonly #deps: TagDeps
  /** May be newer than the catalog's rows: a row moves only when its manifest has landed. */
  readonly #sightings: LRUCache<string, Sighting>
  readonly #absent: LRUCache<string, true>
  readonly #failed: LRUCache<string, UpstreamFailure>
  readonly #checks = new Map<string, Check>()
  readonly #gets = new Coalescer<Sighting | undefined>()

  constructor(deps: TagDeps) {
    this.#deps = deps
    const perf = steady(deps.clock)
    this.#sightings = new LRUCache({ max: REMEMBERED })
    this.#absent = new LRUCache({ max: REMEMBERED, ttl: ABSENT_FOR_MS, ttlResolution: 0, perf })
    this.#failed = new LRUCache({ max: REMEMBERED, ttl: FAILED_FOR_MS, ttlResolution: 0, perf })
  }

  /** The newest answer that we have, without asking. */
  async known(ask: TagRequest): Promise<Sighting | undefined> {
    const row = await this.#deps.catalog.resolve(ask.repository, ask.tag)
    return row === undefined
      ? this.#sightings.get(formatTag(ask.repository, ask.tag))
      : this.#newer(ask, row)
  }

  /** The same at once, for a tag whose row is in memory. */
  recall(ask: TagRequest): Sighting | undefined {
    const row = this.#deps.catalog.recall(ask.repository, ask.tag)
    return row && this.#newer(ask, row)
  }

  #newer({ repository, tag }: TagRequest, row: TagRecord): Sighting {
    const sighting = this.#sightings.get(formatTag(repository, tag))
    const { manifest: descriptor, checkedAt } = row
    if (row.isHeld === true) return { descriptor, checkedAt, isHeld: true }
    const now = this.#deps.clock.now()
    const isNewer =
      sighting !== undefined && believe(sighting.checkedAt, now) > believe(row.checkedAt, now)
    return isNewer ? sighting : { descriptor, checkedAt }
  }

  isAbsent({ repository, tag }: TagRequest): boolean {
    return this.#absent.has(formatTag(repository, tag))
  }

  /** The last check's failure, while it is too recent to try again. */
  recentFailure({ repository, tag }: TagRequest): UpstreamFailure | undefined {
    return this.#failed.get(formatTag(repository, tag))
  }

  /** Upstream has said that it is gone, which is still believed. */
  drop({ repository, tag }: TagRequest): void {
    this.#sightings.delete(formatTag(repository, tag))
  }

  /** As if nobody had ever asked. */
  forget({ repository, tag }: Pick<TagRequest, 'repository' | 'tag'>): void {
    this.#sightings.delete(formatTag(repository, tag))
    this.#absent.delete(formatTag(repository, tag))
  }

  /** What upstream's HEAD says now; `undefined` is "no such tag". Free of charge where a GET is counted. */
  head(ask: TagRequest): Check {
    const key = formatTag(ask.repository, ask.tag)
    // A client does not wait for a warming that may itself be waiting for its turn.
    const own = ask.purpose === 'warm' ? `${key} ${ask.purpose}` : key
    const running = this.#checks.get(key) ?? this.#checks.get(own)
    if (running !== undefined) return { ...running, first: false }
    const startedAt = this.#deps.clock.now()
    const result = this.#head(ask, key, startedAt).finally(() => this.#checks.delete(own))
    // Whoever waited may have left; the failure is remembered.
    result.catch(() => {})
    const check = { startedAt, result, first: true }
    this.#checks.set(own, check)
    return check
  }

  /** What upstream says now, without a trace but for the manifest, where the answer brought that along. */
  async look({ repository, tag, upstream, purpose }: TagRequest): Promise<Descriptor | undefined> {
    const { manifests, clock } = this.#deps
    const key = formatTag(repository, tag)
    const head = await limitTime(CHECK_TIMEOUT_MS, clock, key, (signal) =>
      upstream.headManifest(repository.name, { kind: 'tag', tag }, signal),
    )
    if (head?.bytes !== undefined) {
      const { descriptor, bytes } = head
      await manifests.land(repository, { descriptor, bytes }, undefined, purpose)
    }
    return head?.descriptor
  }

  /** The manifest by tag: one request for a cold tag, or when upstream no longer has the digest it named. */
  get(ask: TagRequest): Check {
    const key = formatTag(ask.repository, ask.tag)
    const startedAt = this.#deps.clock.now()
    return { startedAt, ...this.#gets.run(key, () => this.#get(ask, key, startedAt)) }
  }

  async #get(
    { repository, tag, upstream, purpose }: TagRequest,
    key: string,
    checkedAt: number,
  ): Promise<Sighting | undefined> {
    const body = await limitTime(CHECK_TIMEOUT_MS, this.#deps.clock, key, (signal) =>
      upstream.getManifest(repository.name, { kind: 'tag', tag }, signal),
    )
    if (body === undefined) {
      this.#absent.set(key, true)
      return undefined
    }
    await this.#deps.manifests.land(repository, body, { tag, checkedAt }, purpose)
    return this.#remember(key, { descriptor: body.descriptor, checkedAt, body })
  }

  async #head(
    { repository, tag, upstream, purpose }: TagRequest,
    key: string,
    checkedAt: number,
  ): Promise<Sighting | undefined> {
    const { manifests, clock, log } = this.#deps
    try {
      const head = await limitTime(CHECK_TIMEOUT_MS, clock, key, (signal) =>
        upstream.headManifest(repository.name, { kind: 'tag', tag }, signal),
      )
      if (head === undefined) {
        this.#absent.set(key, true)
        return undefined
      }
      const { descriptor, bytes } = head
      const check = { tag, checkedAt }
      await this.#confirm(repository, check, descriptor.digest, bytes === undefined)
      if (bytes === undefined) return this.#remember(key, { descriptor, checkedAt })
      const body = { descriptor, bytes }
      await manifests.land(repository, body, check, purpose)
      return this.#remember(key, { descriptor, checkedAt, body })
    } catch (reason) {
      if (reason instanceof UpstreamFailure) {
        // An open circuit answers at once, and will be closed before this would be forgotten.
        if (reason.wasAsked) this.#failed.set(key, reason)
        // Refused credentials want a person; the rest mends itself, and an open circuit is told of once.
        const level = reason.kind === 'denied' ? 'error' : reason.wasAsked ? 'warn' : 'debug'
        log[level](
          { ...about(repository), tag, kind: reason.kind, error: reason },
          'failed to check tag',
        )
      }
      throw reason
    }
  }

  /** `isExpected`: the manifest is still to come. */
  async #confirm(
    repository: Repository,
    check: TagCheck,
    digest: Digest,
    isExpected: boolean,
  ): Promise<void> {
    const { catalog, manifests, health, log } = this.#deps
    try {
      await catalog.confirm(repository, check, digest)
      if (isExpected) await manifests.expect(repository, digest, check)
    } catch (reason) {
      // Upstream has answered, and the memory has it; only a restart would ask again.
      if (health.isToBlame(reason)) return
      const fields = { ...about(repository), tag: check.tag, error: reason }
      log.error(fields, 'failed to record tag check')
    }
  }

  /** The body is for those who wait now; keeping it is the manifests' business. */
  #remember(key: string, sighting: Sighting): Sighting {
    const { descriptor, checkedAt } = sighting
    const earlier = this.#sightings.get(key)
    const now = this.#deps.clock.now()
    const isNewer =
      earlier === undefined || believe(earlier.checkedAt, now) <= believe(checkedAt, now)
    if (isNewer) this.#sightings.set(key, { descriptor, checkedAt })
    this.#absent.delete(key)
    this.#failed.delete(key)
    return sighting
  }
}
