import type { Digest } from '../oci/digest.ts'
import { defaultPlatformChild } from '../oci/manifest.ts'
import { isIndexType } from '../oci/media-types.ts'
import type { Reference, Repository, Tag } from '../oci/reference.ts'
import { formatContent, formatTag } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { Wait } from './deadline.ts'
import { LATE, waitFor, waitUntil } from './deadline.ts'
import { mayServeStale } from './freshness.ts'
import type { Manifests } from './manifests.ts'
import { missingManifest, missingTag } from './offline-misses.ts'
import type { Answer, ManifestAnswer } from './outcome.ts'
import type { Catalog, Clock } from './ports.ts'
import type { TagRequest } from './tag-checks.ts'
import type { Resolution, Tags } from './tags.ts'
import type { ManifestBody } from './upstream.ts'
import type { UpstreamEntry } from './upstream-entry.ts'
import type { UpstreamMode } from './upstream-mode.ts'
import { UpstreamFailure } from './upstream-failure.ts'

export interface ManifestRequest {
  readonly repository: Repository
  readonly reference: Reference
  /** HEAD: the descriptor is enough, and asking upstream for more would cost a pull. */
  readonly need: 'descriptor' | 'manifest'
  /** Clients from before multi-platform images are given the linux/amd64 child of an index. */
  readonly acceptsIndex: boolean
}

interface Deps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly tags: Tags
  readonly clock: Clock
}

type Found = Answer & { readonly body: ManifestBody }

/** Answers manifest requests, by tag and by digest. */
export class ManifestRequests {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async answer(
    request: ManifestRequest,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<ManifestAnswer> {
    const { repository, reference } = request
    if (reference.kind === 'digest') {
      return this.#toAnswer(
        repository,
        await this.#byDigest(repository, reference.digest, entry, wait),
      )
    }
    return this.#byTag(request, reference.tag, entry, wait)
  }

  /** What needs nothing but memory, at once. `undefined` says nothing: `answer` knows. */
  recall(
    { repository, reference, acceptsIndex }: ManifestRequest,
    { client, mode, tags: policy }: UpstreamEntry,
  ): ManifestAnswer | undefined {
    const { manifests, tags, catalog } = this.#deps
    if (reference.kind === 'digest') {
      const body = manifests.recall(repository, reference.digest)
      return body && this.#toAnswer(repository, { outcome: 'hit', body })
    }
    const { tag } = reference
    const known =
      mode === 'online'
        ? tags.recall({ repository, tag, upstream: client, policy })?.descriptor
        : catalog.recall(repository, tag)?.manifest
    const body = known && manifests.recall(repository, known.digest)
    if (body === undefined) return undefined
    if (!acceptsIndex && isIndexType(body.descriptor.mediaType)) return undefined
    const answer = { outcome: 'hit', body } as const
    return this.#toAnswer(repository, mode === 'online' ? answer : { ...answer, detail: mode })
  }

  async #byDigest(
    repository: Repository,
    digest: Digest,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<Found> {
    const { manifests, clock } = this.#deps
    const held = await manifests.held(repository, digest)
    if (held !== undefined) return { outcome: 'hit', body: held }
    if (entry.mode === 'offline') throw await missingManifest(repository, digest, this.#deps)
    const { result, first } = manifests.fetch(repository, digest, entry.client)
    const name = formatContent(repository, digest)
    const body = await waitFor(result, wait, clock, name)
    if (body === undefined) throw unknown(name)
    return { outcome: first ? 'miss' : 'joined', body }
  }

  async #byTag(
    request: ManifestRequest,
    tag: Tag,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<ManifestAnswer> {
    const { repository, need, acceptsIndex } = request
    const ask = { repository, tag, upstream: entry.client, policy: entry.tags }
    const resolution = await this.#resolve(ask, need, entry.mode, wait)
    if (resolution === undefined) throw unknown(formatTag(repository, tag))
    const isForeign = !acceptsIndex && isIndexType(resolution.descriptor.mediaType)
    if (need === 'descriptor' && !isForeign) return resolution
    const found = await this.#loadTagged(ask, resolution, wait)
    if (acceptsIndex || !isIndexType(found.body.descriptor.mediaType))
      return this.#toAnswer(repository, found)
    const child = defaultPlatformChild(found.body.bytes)
    if (child === undefined) return this.#toAnswer(repository, found)
    const { body } = await this.#byDigest(repository, child.digest, entry, wait)
    return this.#toAnswer(repository, { ...found, body })
  }

  /** Where upstream is asked only for what is not here, or never, the tag that is here is the answer. */
  async #resolve(
    ask: TagRequest,
    need: ManifestRequest['need'],
    mode: UpstreamMode,
    wait: Wait,
  ): Promise<Resolution | undefined> {
    const { tags } = this.#deps
    const here = mode === 'online' ? undefined : await tags.here(ask)
    if (here !== undefined) return { ...here, detail: mode }
    if (mode === 'offline') throw await missingTag(ask.repository, ask.tag, this.#deps)
    return tags.resolve(ask, need, wait)
  }

  /** The manifest of a resolved tag; if upstream fails now, the one that the tag's row still names. */
  async #loadTagged(ask: TagRequest, resolution: Resolution, wait: Wait): Promise<Found> {
    const { manifests } = this.#deps
    const { repository } = ask
    if (resolution.body !== undefined) return { ...resolution, body: resolution.body }
    const { digest } = resolution.descriptor
    const held = await manifests.held(repository, digest)
    if (held !== undefined) {
      return { ...resolution, body: held }
    }
    try {
      return await this.#fetchTagged(ask, resolution, wait)
    } catch (reason) {
      const older = reason instanceof UpstreamFailure && (await this.#olderCopy(ask, reason))
      if (older) return older
      throw reason
    }
  }

  async #fetchTagged(ask: TagRequest, resolution: Resolution, wait: Wait): Promise<Found> {
    const { manifests, tags, clock } = this.#deps
    const { digest } = resolution.descriptor
    const { result, first } = manifests.fetch(ask.repository, digest, ask.upstream)
    const until = Math.min(wait.until, resolution.patientUntil)
    const body = await waitUntil(result, until, clock, wait.signal)
    if (body === LATE) {
      const older = await this.#olderCopy(
        ask,
        new UpstreamFailure('timeout', 'the new manifest is slow'),
      )
      if (older !== undefined) return older
    }
    const name = formatTag(ask.repository, ask.tag)
    const fetched = body === LATE ? await waitFor(result, wait, clock, name) : body
    if (fetched !== undefined) return { outcome: first ? 'miss' : 'joined', body: fetched }
    if (resolution.isHeld === true) {
      const why = `it is held at ${digest}, which is not here, and its registry has it no more`
      throw new RegistryError('MANIFEST_UNKNOWN', `${name}: ${why}; \`release\` lets it go on`)
    }
    // The tag moved between the HEAD and the GET, and its old manifest is gone: one GET by tag.
    const again = await tags.reget(ask, wait)
    if (again?.body === undefined) throw unknown(name)
    return { ...again, body: again.body }
  }

  #toAnswer(repository: Repository, { body, ...answer }: Found): ManifestAnswer {
    const { descriptor, bytes } = body
    const { manifests } = this.#deps
    const isTold = answer.outcome === 'miss' || answer.outcome === 'hit'
    const isUnkept = isTold && manifests.isUnkept(repository, descriptor.digest)
    if (!isUnkept) return { ...answer, descriptor, bytes }
    return { ...answer, isStored: false, detail: 'no-room', descriptor, bytes }
  }

  async #olderCopy(ask: TagRequest, failure: UpstreamFailure): Promise<Found | undefined> {
    const { catalog, manifests, tags, clock } = this.#deps
    const row = await catalog.resolve(ask.repository, ask.tag)
    if (row === undefined) return undefined
    const isRecent = mayServeStale(failure.kind, row.checkedAt, ask.policy, clock.now())
    if (!isRecent && !(await catalog.keepsTag(ask.repository, ask.tag))) return undefined
    const body = await manifests.held(ask.repository, row.manifest.digest)
    if (body === undefined) return undefined
    const sighting = { descriptor: row.manifest, checkedAt: row.checkedAt }
    return { ...tags.stale(ask, sighting, `upstream-${failure.kind}`), body }
  }
}

function unknown(name: string): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', `${name} does not exist: its registry says so`)
}
