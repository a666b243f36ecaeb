import type { Digest } from '../../oci/digest.ts'
import type { UpstreamName } from '../../oci/reference.ts'
import type { BlobStore, Catalog, Clock } from '../ports.ts'
import type { QuotaLimits, Space } from '../room.ts'
import { bytesToKeepFree } from '../room.ts'
import type { UpstreamEntry } from '../upstream-entry.ts'
import { collectGarbage } from './collect-garbage.ts'
import type { Durability } from './durability.ts'
import { holdTag, releaseTag } from './holds.ts'
import type { Naming } from './image-name.ts'
import { parseImageName } from './image-name.ts'
import { readTree } from './image-tree.ts'
import type { Inventory } from './inventory.ts'
import { listBlobs, listImages, listRepositories, toListedChange } from './lists.ts'
import type { ImagesRequest, ListQuery, MaintenanceApi, VerifyImages } from './maintenance-api.ts'
import { MaintenanceError } from './maintenance-error.ts'
import type { JobBoard } from './job-board.ts'
import type { MirrorControl } from './mirror-control.ts'
import { pinImages, unpinImages } from './pins.ts'
import { removeImages } from './removals.ts'
import type { ImageReport, ListedChange, StatsReport, VerifyProgress } from './reports.ts'
import type { RequestCounts } from './request-counts.ts'
import { selectImage, selectImages } from './select-images.ts'
import { Verification } from './verify.ts'

export interface MaintenanceDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly inventory: Inventory
  readonly control: MirrorControl
  readonly naming: Naming
  readonly durability: Durability
  readonly upstreams: ReadonlyMap<UpstreamName, Pick<UpstreamEntry, 'client' | 'mode'>>
  readonly limits: QuotaLimits
  /** `undefined` where no mirror runs. */
  readonly counts: RequestCounts | undefined
  /** As `counts`. */
  readonly jobs?: JobBoard
  readonly clock: Clock
}

/** Does what operators ask for, one thing that changes anything at a time. */
export class Maintenance implements MaintenanceApi {
  readonly #deps: MaintenanceDeps
  #running: string | undefined

  constructor(deps: MaintenanceDeps) {
    this.#deps = deps
  }

  async stats(): Promise<StatsReport> {
    const { store, catalog, inventory, limits, upstreams, counts, jobs, control } = this.#deps
    // A disk that fails is when the other figures are needed most.
    const space = await store.space().catch(() => undefined)
    const { bytes, blobs } = await catalog.totals()
    const activity = counts && {
      startedAt: counts.startedAt,
      flights: control.flights(),
      disk: control.disk(),
      upstreams: [...upstreams].map(([name, entry]) => counts.report(name, entry)),
      jobs: jobs?.report() ?? [],
    }
    return {
      stored: { bytes, blobs },
      limits: { maxSize: limits.maxSize ?? null, minFree: minFreeOf(limits, space) ?? null },
      volume: space === undefined ? null : { total: space.total, free: space.free },
      counts: await inventory.counts(),
      activity: activity ?? null,
    }
  }

  images(query: ListQuery) {
    return listImages(query, this.#deps.inventory)
  }

  repositories(query: ListQuery) {
    return listRepositories(query, this.#deps.inventory)
  }

  blobs(query: ListQuery) {
    return listBlobs(query, this.#deps.inventory)
  }

  async show(reference: string): Promise<ImageReport> {
    const { inventory } = this.#deps
    const selected = await selectImage(reference, this.#deps)
    const { image, repository, tag, checkedAt, digest, mediaType, size } = selected
    const manifest = { digest, mediaType, size }
    const history = tag === undefined ? [] : await inventory.history(repository, tag)
    const imported = tag && (await inventory.imports.mark(repository, tag))
    return {
      image,
      pinned: await inventory.isPinned(repository, digest),
      held: tag !== undefined && (await inventory.isHeld(repository, tag)),
      ...(checkedAt !== undefined && { checkedAt }),
      ...(imported && { imported }),
      ...(await inventory.image(repository, manifest)),
      tree: await readTree(manifest, this.#deps),
      history: history.map((change) => toListedChange(repository, change)).toReversed(),
    }
  }

  async history(reference: string): Promise<readonly ListedChange[]> {
    const { naming, inventory } = this.#deps
    const { repository, tag, digest } = parseImageName(reference, naming)
    if (digest !== undefined) {
      throw new MaintenanceError('invalid', `${reference} is a digest: only tags have a history`)
    }
    const changes = await inventory.history(repository, tag)
    // Says what there is instead. A tag that was dropped is not here, and its history is.
    if (changes.length === 0) await selectImage(reference, this.#deps)
    return changes.map((change) => toListedChange(repository, change)).toReversed()
  }

  remove({ references, all, dryRun }: ImagesRequest & { readonly dryRun: boolean }) {
    return this.#alone('rm', async () => {
      const images = await selectImages(references, all, this.#deps)
      return removeImages(images, dryRun, this.#deps)
    })
  }

  pin({ references, all }: ImagesRequest) {
    return this.#alone('pin', async () =>
      pinImages(await selectImages(references, all, this.#deps), this.#deps),
    )
  }

  unpin({ references, all }: ImagesRequest) {
    return this.#alone('unpin', async () =>
      unpinImages(await selectImages(references, all, this.#deps), this.#deps),
    )
  }

  hold(reference: string) {
    return this.#alone('hold', () => holdTag(reference, this.#deps))
  }

  release(reference: string) {
    return this.#alone('release', () => releaseTag(reference, this.#deps))
  }

  gc(dryRun: boolean) {
    return this.#alone('gc', () => collectGarbage(dryRun, this.#deps))
  }

  verify(
    { references, repair, rate, restart }: VerifyImages,
    onProgress: (progress: VerifyProgress) => void,
    signal: AbortSignal,
  ) {
    return this.#alone('verify', async () => {
      const { inventory, catalog } = this.#deps
      const images = await selectImages(references, true, this.#deps)
      const digests = new Set<Digest>()
      for (const { repository, digest } of images) {
        for (const named of await inventory.closure(repository, digest)) digests.add(named)
      }
      const request = {
        repair,
        restart,
        ...(rate !== undefined && { rate }),
        ...(references.length > 0 && { digests: [...digests] }),
      }
      const deps = { ...this.#deps, totals: () => catalog.totals() }
      return new Verification(request, deps, onProgress, signal).run()
    })
  }

  async #alone<T>(name: string, task: () => Promise<T>): Promise<T> {
    if (this.#running !== undefined) {
      const message = `\`${this.#running}\` is running: wait until it ends, or end it`
      throw new MaintenanceError('busy', message)
    }
    this.#running = name
    try {
      return await task()
    } finally {
      this.#running = undefined
    }
  }
}

/** Bytes; of a volume that cannot be read, only what does not depend on its size. */
function minFreeOf(limits: QuotaLimits, space: Space | undefined): number | undefined {
  if (space !== undefined) return Math.round(bytesToKeepFree(limits, space))
  return 'bytes' in limits.minFree ? limits.minFree.bytes : undefined
}
