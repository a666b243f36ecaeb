import { LRUCache } from 'lru-cache'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { matchesDigest } from '../oci/digest.ts'
import { readManifest } from '../oci/manifest.ts'
import { isImageType } from '../oci/media-types.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import { formatContent, formatRepository } from '../oci/reference.ts'
import { Coalescer } from './coalescer.ts'
import { limitTime } from './deadline.ts'
import type { DiskHealth } from './disk-health.ts'
import { CLOCK_ERROR_MS } from './freshness.ts'
import type { KeyedLock } from './keyed-lock.ts'
import { landFile } from './land-file.ts'
import type { Log } from './log.ts'
import { about } from './log.ts'
import type { BlobStore, Catalog, Clock, RecordedManifest, TagCheck } from './ports.ts'
import type { Quota } from './quota.ts'
import { sparing } from './quota.ts'
import { readAll } from './read-all.ts'
import type { ManifestBody, Upstream } from './upstream.ts'
import type { Purpose } from './purpose.ts'

/** Tags whose manifest is still to come. */
const MAX_EXPECTED = 10_000
/** Bytes of manifests kept in memory: a few thousand of the usual size. */
const MEMORY_BYTES = 64 * 1024 * 1024
/** What was used lately: so many of a repository, among so many of all. */
const RECENT = { images: 8, manifests: 1000 } as const
/** Bytes: an image of a hundred layers, with annotations for each. */
const USUAL_BYTES = 256 * 1024
/** Never kept: an upstream's task for its whole life is bounded by this, whoever is still waiting. */
const FETCH_TIMEOUT_MS = 60_000

export interface ManifestsDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly quota: Quota
  readonly health: DiskHealth
  readonly locks: KeyedLock<Digest>
  readonly clock: Clock
  readonly log: Log
}

/** Manifests by digest: from memory, from disk, or fetched once and landed with everything they name. */
export class Manifests {
  readonly #deps: ManifestsDeps
  readonly #memory: LRUCache<string, ManifestBody>
  readonly #fetches = new Coalescer<ManifestBody | undefined>()
  /** Those in memory of which nothing is on the disk. */
  readonly #unkept = new LRUCache<string, true>({ max: MAX_EXPECTED })
  readonly #expected = new LRUCache<string, Map<Tag, TagCheck>>({ max: MAX_EXPECTED })

  constructor(deps: ManifestsDeps) {
    this.#deps = deps
    this.#memory = new LRUCache({
      maxSize: MEMORY_BYTES,
      sizeCalculation: ({ bytes }, key) => bytes.length + key.length + 200,
    })
  }

  /** What is in memory for this repository, at once. */
  recall(repository: Repository, digest: Digest): ManifestBody | undefined {
    const remembered = this.#memory.get(formatContent(repository, digest))
    if (remembered !== undefined) this.#deps.catalog.touch(digest, this.#deps.clock.now())
    return remembered
  }

  /** What we hold for this repository, without asking upstream. */
  async held(repository: Repository, digest: Digest): Promise<ManifestBody | undefined> {
    const remembered = this.recall(repository, digest)
    if (remembered !== undefined) return remembered
    const key = formatContent(repository, digest)
    const descriptor = await this.#deps.catalog.manifest(repository, digest)
    const body = descriptor && (await this.#read(descriptor))
    if (body !== undefined) {
      this.#memory.set(key, body)
      this.#deps.catalog.touch(digest, this.#deps.clock.now())
    }
    return body
  }

  /**
   * Asks upstream by digest, once for everyone who waits; but a client does not wait for a warming that may
   * itself be waiting for its turn. `undefined`: upstream has no such manifest.
   */
  fetch(
    repository: Repository,
    digest: Digest,
    upstream: Upstream,
    purpose: Purpose = 'client',
  ): { readonly result: Promise<ManifestBody | undefined>; readonly first: boolean } {
    const key = formatContent(repository, digest)
    const isApart = purpose === 'warm' && !this.#fetches.has(key)
    return this.#fetches.run(isApart ? `${key} ${purpose}` : key, async () => {
      const body = await limitTime(FETCH_TIMEOUT_MS, this.#deps.clock, key, (signal) =>
        upstream.getManifest(repository.name, { kind: 'digest', digest }, signal),
      )
      if (body !== undefined) await this.land(repository, body, undefined, purpose)
      return body
    })
  }

  /** Images of the repository that are in memory, the one that was used last first: a few of them. */
  recent(repository: Repository): readonly ManifestBody[] {
    const prefix = `${formatRepository(repository)}@`
    const found: ManifestBody[] = []
    let looked = 0
    for (const [key, body] of this.#memory.entries()) {
      if (key.startsWith(prefix) && isOfUsualSize(body)) found.push(body)
      looked += 1
      if (found.length === RECENT.images || looked === RECENT.manifests) break
    }
    return found
  }

  /** The disk had no room for it. */
  isUnkept(repository: Repository, digest: Digest): boolean {
    return this.#unkept.size > 0 && this.#unkept.has(formatContent(repository, digest))
  }

  /** It has been taken out of the repository, or its file was damaged. */
  forget(repository: Repository, digest: Digest): void {
    this.#memory.delete(formatContent(repository, digest))
  }

  /**
   * Stores the bytes, then records the manifest, its children and the tag in one transaction. Where the
   * disk refuses, the client is still answered: a manifest is small enough to be held in memory. Whoever
   * warms has no use for that, and is told: throws what went wrong, NoSpace above all.
   */
  async land(
    repository: Repository,
    body: ManifestBody,
    tag?: TagCheck,
    purpose: Purpose = 'client',
  ): Promise<void> {
    const { descriptor } = body
    const key = formatContent(repository, descriptor.digest)
    const { manifest, children } = toRecord(body)
    try {
      await this.#store(repository, body, purpose)
      await this.#deps.catalog.record(repository, manifest, children, tag)
      this.#unkept.delete(key)
      const expected = this.#expected.get(key) ?? new Map<Tag, TagCheck>()
      this.#expected.delete(key)
      for (const check of expected.values()) {
        // So late that the tag may have moved on meanwhile.
        if (this.#deps.clock.now() - check.checkedAt > CLOCK_ERROR_MS) continue
        await this.#deps.catalog.record(repository, manifest, children, check)
      }
    } catch (reason) {
      // The bytes are verified and in our hands; only keeping them has failed.
      this.#unkept.set(key, true)
      const { health, log } = this.#deps
      const fields = { ...about(repository), digest: descriptor.digest, error: reason }
      log[health.isToBlame(reason) ? 'debug' : 'error'](fields, 'failed to store manifest')
      if (purpose === 'warm') throw reason
    } finally {
      this.#memory.set(key, body)
    }
  }

  /**
   * A HEAD said that the tag points at the digest. containerd and Docker ask for it by digest next, and
   * then the tag has to be in the catalog too, or it would be lost with the next restart.
   */
  async expect(repository: Repository, digest: Digest, check: TagCheck): Promise<void> {
    const row = await this.#deps.catalog.resolve(repository, check.tag)
    if (row?.manifest.digest === digest) return
    const held = await this.held(repository, digest)
    if (held !== undefined) {
      const { manifest, children } = toRecord(held)
      await this.#deps.catalog.record(repository, manifest, children, check)
      return
    }
    const key = formatContent(repository, digest)
    const tags = this.#expected.get(key) ?? new Map<Tag, TagCheck>()
    this.#expected.set(key, tags.set(check.tag, check))
  }

  async #read(descriptor: Descriptor): Promise<ManifestBody | undefined> {
    const { store, log } = this.#deps
    const blob = await store.open(descriptor.digest, descriptor.size)
    if (blob === undefined) return undefined
    // A damaged file is a miss: it is fetched again over the top.
    try {
      const bytes = await readAll(blob, descriptor.size)
      if (matchesDigest(bytes, descriptor.digest)) return { descriptor, bytes }
      log.error({ digest: descriptor.digest }, 'found a damaged manifest on disk')
    } catch (reason) {
      log.error({ digest: descriptor.digest, error: reason }, 'failed to read manifest from disk')
    }
    return undefined
  }

  async #store(
    repository: Repository,
    { descriptor, bytes }: ManifestBody,
    purpose: Purpose,
  ): Promise<void> {
    const { store, quota, health, clock } = this.#deps
    const restraint = sparing(() => purpose === 'warm', clock)
    const reservation = await quota.reserve(bytes.length, restraint)
    try {
      const spool = await store.createSpool(repository.upstream, descriptor.digest, bytes.length)
      try {
        await spool.write(bytes)
        const file = await spool.finish()
        await landFile(repository, file, this.#deps)
        health.took()
      } catch (reason) {
        await spool.discard(reason)
        throw reason
      }
    } finally {
      reservation.release()
    }
  }
}

function isOfUsualSize({ descriptor, bytes }: ManifestBody): boolean {
  return isImageType(descriptor.mediaType) && bytes.length <= USUAL_BYTES
}

/** What the catalog is told of a manifest. */
function toRecord({ descriptor, bytes }: ManifestBody): {
  readonly manifest: RecordedManifest
  readonly children: readonly Descriptor[]
} {
  const { children, mediaType: _, ...attachment } = readManifest(bytes, descriptor.mediaType)
  return { manifest: { ...descriptor, ...attachment }, children }
}
