import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { CommitRequest, CommittedImage } from '../../core/airgap/import-api.ts'
import type { ImportCatalog } from '../../core/airgap/import-catalog.ts'
import type { Durability } from '../../core/maintenance/durability.ts'
import type { BlobStore, Catalog, Clock } from '../../core/ports.ts'
import { NoSpace } from '../../core/ports.ts'
import { ManifestMismatch } from '../../oci/manifest.ts'
import type { Arrival } from './arrival.ts'
import { readArrival } from './arrival.ts'
import type { Destination } from './destination.ts'
import { checkedAtOf, findMove } from './find-move.ts'
import type { Ownership } from './ownership.ts'

interface Deps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly imports: ImportCatalog
  readonly durability: Durability
  readonly ownership: Ownership
  readonly clock: Clock
}

/** Gives the image to its repository, if all of it is here. Throws NoSpace. */
export async function commitImage(
  carried: CarriedImage,
  destination: Destination,
  request: CommitRequest,
  deps: Deps,
): Promise<CommittedImage> {
  const { image, repository, tag } = destination
  const { manifest } = carried
  const told = { image, digest: manifest.digest, missing: [] }
  const { session, origin, overwrite } = request
  const run = { session, ...(origin.id !== undefined && { bundle: origin.id }) }
  const found = await tryReading(carried, destination, { ...deps, ...run })
  if ('reason' in found) return { ...told, state: 'refused', reason: found.reason }
  const { missing, foreign, parts, manifests } = found
  if (missing.length > 0) return { ...told, state: 'incomplete', missing }
  if (foreign.length > 0) return { ...told, state: 'incomplete', missing: foreign, reason: FOREIGN }
  const pin = request.pin === 'all' || (request.pin === 'carried' && carried.pinned === true)
  if (await isDone(carried, destination, found, pin, deps)) return { ...told, state: 'unchanged' }
  for (const { digest, held } of parts) {
    if (held?.isDurable === true || (await deps.durability.sync(digest))) continue
    throw new NoSpace(`${digest} could not be brought to disk: see the log`, 'broken')
  }
  const now = deps.clock.now()
  const move = await findMove(carried, destination, request, deps.catalog)
  const result = await deps.imports.commit({
    repository,
    manifest,
    manifests,
    origin,
    overwrite,
    pin,
    at: now,
    ...(tag !== undefined && { tag }),
    // A check in the future, by a clock that was wrong, would be believed for longer than any other.
    checkedAt: Math.min(checkedAtOf(carried, request), now),
    parts: parts.map(({ digest }) => digest),
  })
  if (result === 'committed') return { ...told, state: 'committed' }
  if (result === 'kept') {
    const why = move?.kept === 'held' ? 'it is held here' : 'it was confirmed later here'
    return { ...told, state: 'kept', reason: why }
  }
  return { ...told, state: 'incomplete', reason: 'a part of it was evicted: import it again' }
}

const FOREIGN =
  'what it needs is here for other repositories only, whose registry asks for credentials: a bundle that holds all of this image is needed (export it without --have)'

async function tryReading(
  carried: CarriedImage,
  { repository }: Destination,
  deps: Deps & { readonly session: string; readonly bundle?: string },
): Promise<Arrival | { readonly reason: string }> {
  try {
    return await readArrival(carried, repository, deps)
  } catch (reason) {
    // A manifest that is none is the fault of its image, and the others go on.
    if (reason instanceof ManifestMismatch || reason instanceof SyntaxError) {
      return { reason: `its manifest cannot be used: ${reason.message}` }
    }
    throw reason
  }
}

/** All of it is as this import would leave it. */
async function isDone(
  { manifest }: CarriedImage,
  { repository, tag }: Destination,
  { parts }: Arrival,
  pin: boolean,
  { catalog, imports }: Deps,
): Promise<boolean> {
  const { digest } = manifest
  if (!parts.every(({ held }) => held?.isLinked === true && held.isDurable)) return false
  if (pin && !(await imports.isPinned(repository, digest))) return false
  if (tag === undefined) return (await catalog.manifest(repository, digest)) !== undefined
  const row = await catalog.resolve(repository, tag)
  return row?.manifest.digest === digest && (await imports.mark(repository, tag)) !== undefined
}
