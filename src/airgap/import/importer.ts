import type {
  CommitReport,
  CommitRequest,
  ImportApi,
  ImportOffer,
  ImportPlan,
  OfferedBlob,
  TagMove,
} from '../../core/airgap/import-api.ts'
import type { ImportCatalog } from '../../core/airgap/import-catalog.ts'
import type { Durability } from '../../core/maintenance/durability.ts'
import type { Naming } from '../../core/maintenance/image-name.ts'
import type { MirrorControl } from '../../core/maintenance/mirror-control.ts'
import type { BlobStore, Catalog, Clock } from '../../core/ports.ts'
import { NoSpace } from '../../core/ports.ts'
import type { QuotaLimits } from '../../core/room.ts'
import type { Digest } from '../../oci/digest.ts'
import type { UpstreamName } from '../../oci/reference.ts'
import { NOBODY } from '../../oci/reference.ts'
import { commitImage } from './commit-image.ts'
import type { Destination } from './destination.ts'
import { findDestination } from './destination.ts'
import { findRoom } from './find-room.ts'
import { findMove } from './find-move.ts'
import { isStored } from './is-stored.ts'
import { OfferedParts } from './offered-parts.ts'
import { Ownership } from './ownership.ts'
import { passBytes } from './pass-bytes.ts'

export interface ImporterDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly imports: ImportCatalog
  readonly control: Pick<MirrorControl, 'take' | 'forgetTag'>
  readonly durability: Durability
  readonly naming: Naming
  readonly upstreams: ReadonlyMap<UpstreamName, { readonly isPublic: boolean }>
  readonly limits: QuotaLimits
  readonly clock: Clock
}

/** Takes in what was carried here: into this process' own store and catalog. */
export class Importer implements ImportApi {
  readonly #deps: ImporterDeps
  readonly #ownership: Ownership

  constructor(deps: ImporterDeps) {
    this.#deps = deps
    this.#ownership = new Ownership((name) => deps.upstreams.get(name)?.isPublic === true)
  }

  async plan({
    images,
    blobs,
    requires,
    parents,
    overwrite,
    origin,
  }: ImportOffer): Promise<ImportPlan> {
    const { naming, imports, catalog } = this.#deps
    const destinations: Destination[] = []
    const refused: ImportPlan['refused'][number][] = []
    const moves: TagMove[] = []
    for (const image of images) {
      const found = findDestination(image, naming)
      if ('reason' in found) {
        refused.push({ image: image.image, reason: found.reason })
        continue
      }
      destinations.push(found)
      const move = await findMove(image, found, { origin, overwrite }, catalog)
      if (move !== undefined) moves.push(move)
    }
    const parts = new OfferedParts(destinations, {
      ...this.#deps,
      ownership: this.#ownership,
      ...(origin.id !== undefined && { bundle: origin.id }),
    })
    const { missing, missingBytes } = await parts.missing(blobs)
    const lacking = await parts.lacking(requires)
    const needed = new Set([...blobs.map(({ digest }) => digest), ...requires])
    const room = await findRoom(missingBytes, needed, this.#deps)
    const imported = await imports.known(parents)
    return {
      missing,
      missingBytes,
      lacking,
      imported,
      moves,
      refused,
      ...(room !== undefined && { room }),
    }
  }

  async put(
    blob: OfferedBlob,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, catalog, imports, control, durability, clock } = this.#deps
    const { digest, size, session, bundle } = blob
    const isHere =
      (await storedSize(digest, catalog)) === size && (await isStored(digest, size, store))
    if (isHere) {
      await passBytes(blob, body, signal)
      catalog.touch(digest, clock.now())
    } else {
      await control.take(blob, body, signal)
    }
    if (bundle !== undefined) await imports.bring(digest, bundle)
    if (!(await durability.sync(digest))) {
      throw new NoSpace(`${digest} could not be brought to disk: see the log`, 'broken')
    }
    this.#ownership.show(session, digest)
  }

  async commit(request: CommitRequest): Promise<CommitReport> {
    const { naming, imports, catalog, durability, control, clock } = this.#deps
    const moves: TagMove[] = []
    const images: CommitReport['images'][number][] = []
    for (const image of request.images) {
      const found = findDestination(image, naming)
      if ('reason' in found) {
        const { digest } = image.manifest
        images.push({ image: image.image, digest, state: 'refused', missing: [], ...found })
        continue
      }
      const move = await findMove(image, found, request, catalog)
      const deps = { ...this.#deps, ownership: this.#ownership }
      const done = await commitImage(image, found, request, deps)
      if (found.tag !== undefined) control.forgetTag(found.repository, found.tag)
      const isDone = done.state === 'committed' || done.state === 'kept'
      if (move !== undefined && isDone) moves.push(move)
      images.push(done)
    }
    if (images.some(({ state }) => state !== 'refused' && state !== 'incomplete')) {
      await imports.note(request.origin, clock.now())
    }
    if (images.some(({ state }) => state === 'committed' || state === 'kept')) {
      await durability.backup()
    }
    this.#ownership.end(request.session)
    return { images, moves }
  }
}

/** Bytes, as the catalog says, whoever it belongs to. */
async function storedSize(digest: Digest, catalog: Catalog): Promise<number | undefined> {
  return (await catalog.holding(NOBODY, digest)).storedSize
}
