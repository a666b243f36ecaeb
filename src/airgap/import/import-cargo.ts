import { randomUUID } from 'node:crypto'
import type { ImportApi, ImportOffer, ImportPlan } from '../../core/airgap/import-api.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Cargo, CargoBlob } from './cargo.ts'
import type { CargoPlan, CargoReport, ImportProgress } from './import-report.ts'
import { narrowCargo } from './select-cargo.ts'
import { Uploads } from './uploads.ts'

export interface ImportChoice {
  readonly overwrite: boolean
  readonly pin: 'none' | 'all' | 'carried'
  readonly dryRun: boolean
}

export interface ImportHooks {
  readonly onPlan: (plan: CargoPlan) => void
  readonly onProgress: (progress: ImportProgress) => void
}

/**
 * Takes in what is not here, then the images that are complete. Throws BundleError for an archive that breaks
 * a rule, of which then nothing is committed; MaintenanceError where there is no room for it, before its first
 * byte; NoSpace where that is used up on the way.
 */
export async function importCargo(
  cargo: Cargo,
  { overwrite, pin, dryRun }: ImportChoice,
  { onPlan, onProgress }: ImportHooks,
  api: ImportApi,
  signal: AbortSignal,
): Promise<CargoReport> {
  const { origin, images } = cargo
  const { plan, blobs } = await planCargo(cargo, overwrite, api)
  const told = toldOf(cargo, plan)
  onPlan(told)
  const nothing = { plan: told, blobs: 0, bytes: 0, damaged: [], images: [], moves: [] }
  const base = baseOf(cargo, plan)
  if (dryRun) return { ...nothing, base }
  refuseWithoutRoom(cargo, plan)
  const wanted = new Set<Digest>(plan.missing)
  const sizes = blobs.filter(({ digest }) => wanted.has(digest))
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0)
  const session = randomUUID()
  const run = { session, ...(origin.id !== undefined && { bundle: origin.id }) }
  const uploads = new Uploads(api, { blobs: sizes.length, bytes }, onProgress, run, signal)
  try {
    await cargo.deliver(wanted, (blob, body) => uploads.take(blob, body), signal)
  } finally {
    // Whatever ended it: those that are under way are not left to themselves.
    await uploads.end()
  }
  signal.throwIfAborted()
  const committed = await api.commit({ session, images, origin, overwrite, pin })
  const { damaged } = uploads
  return { plan: told, blobs: uploads.blobs, bytes: uploads.bytes, damaged, base, ...committed }
}

/** Blobs that only refused images need are left where they are. */
async function planCargo(
  cargo: Cargo,
  overwrite: boolean,
  api: ImportApi,
): Promise<{ readonly plan: ImportPlan; readonly blobs: readonly CargoBlob[] }> {
  const plan = await api.plan(offerOf(cargo, overwrite))
  const refused = new Set(plan.refused.map(({ image }) => image))
  const taken = cargo.images.filter(({ image }) => !refused.has(image))
  const narrowed = refused.size === 0 ? undefined : await narrowCargo(cargo, taken)
  if (narrowed === undefined) return { plan, blobs: cargo.blobs }
  const rest = await api.plan(offerOf(narrowed, overwrite))
  return { plan: { ...rest, refused: plan.refused }, blobs: narrowed.blobs }
}

function offerOf(cargo: Cargo, overwrite: boolean): ImportOffer {
  const { images, blobs, requires, parents, origin } = cargo
  return {
    images,
    origin,
    overwrite,
    blobs: blobs.map(({ digest, size }) => ({ digest, size })),
    requires: requires.map(({ digest }) => digest),
    parents: idsOf({ requires, parents }),
  }
}

function idsOf({ requires, parents }: Pick<Cargo, 'requires' | 'parents'>): readonly string[] {
  const ids = new Set<string>(parents.map(({ id }) => id))
  for (const { from } of requires) if (from !== undefined) ids.add(from)
  return [...ids]
}

function toldOf(cargo: Cargo, plan: ImportPlan): CargoPlan {
  const { missing, lacking, imported: _, ...rest } = plan
  return {
    ...rest,
    origin: cargo.origin,
    images: cargo.images.length,
    blobs: cargo.blobs.length,
    bytes: cargo.blobs.reduce((sum, { size }) => sum + size, 0),
    missing: missing.length,
    required: cargo.requires.length,
    lacking: lacking.length,
    absentParts: cargo.absent,
    notes: cargo.notes,
  }
}

/** The bundles that had what is lacking, as far as that is said; else all that the other side counted on. */
function baseOf({ requires, parents }: Cargo, plan: ImportPlan): CargoReport['base'] {
  const lacking = new Set(plan.lacking)
  const imported = new Set(plan.imported)
  const from = new Set(
    requires.flatMap(({ digest, from: id }) => (lacking.has(digest) && id ? [id] : [])),
  )
  if (lacking.size === 0) return []
  const known = parents.filter(({ id }) => from.size === 0 || from.has(id))
  return known.map((parent) => ({ ...parent, imported: imported.has(parent.id) }))
}

function refuseWithoutRoom({ origin }: Cargo, { missingBytes, room }: ImportPlan): void {
  if (room === undefined || room >= missingBytes) return
  const what = `${origin.name} has ${missingBytes} bytes that are not here, and there is room for ${room}`
  const hint = 'free some disk space, raise storage.maxSize, or import a part of it with --only'
  throw new MaintenanceError('refused', `${what}, with all that may be evicted: ${hint}`)
}
