import { setImmediate } from 'node:timers/promises'
import type { ImportOffer, ImportPlan } from '../../core/airgap/import-api.ts'
import type { HeldPart, ImportCatalog } from '../../core/airgap/import-catalog.ts'
import type { BlobStore, Catalog, Clock } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository } from '../../oci/reference.ts'
import { formatRepository, NOBODY } from '../../oci/reference.ts'
import type { Destination } from './destination.ts'
import { isStored } from './is-stored.ts'
import type { Ownership } from './ownership.ts'

/** Look-ups at a stretch: between two of these, the requests of clients have their turn. */
const STRETCH = 64

interface Deps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly imports: ImportCatalog
  readonly ownership: Ownership
  readonly clock: Clock
  /** The id of the bundle. */
  readonly bundle?: string
}

/** What is here of what an import offers and needs. What is, is used now, so that it does not make room for the rest. */
export class OfferedParts {
  readonly #repositories: readonly Repository[]
  readonly #deps: Deps
  #looked = 0

  constructor(destinations: readonly Destination[], deps: Deps) {
    const repositories = new Map(
      destinations.map(({ repository }) => [formatRepository(repository), repository]),
    )
    this.#repositories = [...repositories.values()]
    this.#deps = deps
  }

  /** To be put. What is here for some of the repositories only counts no bytes: it is only looked at. */
  async missing(
    blobs: ImportOffer['blobs'],
  ): Promise<Pick<ImportPlan, 'missing' | 'missingBytes'>> {
    const missing: Digest[] = []
    let missingBytes = 0
    for (const { digest, size } of blobs) {
      const part = await this.#find(digest, size)
      if (part === undefined) missingBytes += size
      if (part === undefined || !(await this.#isForAll(digest, part))) missing.push(digest)
    }
    return { missing, missingBytes }
  }

  /** What is here for another repository of the same upstream is left for the commit to judge. */
  async lacking(requires: readonly Digest[]): Promise<readonly Digest[]> {
    const upstreams = new Set(this.#repositories.map(({ upstream }) => upstream))
    const lacking: Digest[] = []
    for (const digest of requires) {
      const part = await this.#find(digest)
      const isNear = part?.upstreams.some((upstream) => upstreams.has(upstream)) === true
      const isHere =
        part !== undefined && (isNear || this.#deps.ownership.mayGive(digest, part, this.#deps))
      if (!isHere) lacking.push(digest)
    }
    return lacking
  }

  async #find(digest: Digest, size?: number): Promise<HeldPart | undefined> {
    const { store, catalog, clock } = this.#deps
    const part = await this.#part(NOBODY, digest)
    if (part === undefined || (size !== undefined && part.size !== size)) return undefined
    if (!(await isStored(digest, part.size, store))) return undefined
    catalog.touch(digest, clock.now())
    return part
  }

  async #isForAll(digest: Digest, part: HeldPart): Promise<boolean> {
    const { ownership } = this.#deps
    if (ownership.mayGive(digest, part, this.#deps)) return true
    if (this.#repositories.length === 0) return true
    for (const repository of this.#repositories) {
      const own = await this.#part(repository, digest)
      if (own?.isLinked !== true) return false
    }
    return true
  }

  async #part(repository: Repository, digest: Digest): Promise<HeldPart | undefined> {
    this.#looked += 1
    if (this.#looked % STRETCH === 0) await setImmediate()
    return this.#deps.imports.part(repository, digest)
  }
}
