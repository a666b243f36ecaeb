import type { Catalog, Clock } from '../ports.ts'
import type { Durability } from './durability.ts'
import type { Naming } from './image-name.ts'
import { formatImage, isGlob, parseImageName } from './image-name.ts'
import type { Inventory } from './inventory.ts'
import { MaintenanceError } from './maintenance-error.ts'
import type { MirrorControl } from './mirror-control.ts'
import type { HoldReport } from './reports.ts'
import { selectImage } from './select-images.ts'

interface Deps {
  readonly catalog: Catalog
  readonly inventory: Inventory
  readonly control: MirrorControl
  readonly naming: Naming
  readonly durability: Durability
  readonly clock: Clock
}

/**
 * Freezes `NAME:TAG` at `@DIGEST`, or at what it is now, whatever upstream says. A manifest that is not here
 * is fetched first. Throws MaintenanceError.
 */
export async function holdTag(reference: string, deps: Deps): Promise<HoldReport> {
  const { catalog, inventory, control, durability, clock } = deps
  const { repository, tag, digest } = parseTagName(reference, deps.naming)
  const image = formatImage({ repository, tag })
  const before = (await catalog.resolve(repository, tag))?.manifest.digest
  const wanted = digest ?? (await selectImage(image, deps)).digest
  const name = formatImage({ repository, digest: wanted })
  let manifest = await catalog.manifest(repository, wanted)
  if (manifest === undefined) {
    if (!(await fetchManifest(() => control.refetch('manifest', repository, wanted), name))) {
      throw new MaintenanceError(
        'unknown',
        `${name} is neither here nor upstream: check the digest`,
      )
    }
    manifest = await catalog.manifest(repository, wanted)
  }
  if (manifest === undefined) {
    throw new MaintenanceError('refused', `${name} is no manifest, and a tag names nothing else`)
  }
  await inventory.hold(repository, tag, manifest, clock.now())
  control.forgetTag(repository, tag)
  await durability.backup()
  return { image, digest: wanted, ...(before !== undefined && before !== wanted && { before }) }
}

/** Lets the tag follow upstream again. Throws MaintenanceError. */
export async function releaseTag(reference: string, deps: Deps): Promise<HoldReport> {
  const { repository, tag } = parseTagName(reference, deps.naming)
  const { image, digest } = await selectImage(formatImage({ repository, tag }), deps)
  if (!(await deps.inventory.release(repository, tag))) {
    throw new MaintenanceError('refused', `${image} is not held: \`ls\` shows which tags are`)
  }
  deps.control.forgetTag(repository, tag)
  await deps.durability.backup()
  return { image, digest }
}

function parseTagName(reference: string, naming: Naming) {
  if (isGlob(reference)) {
    throw new MaintenanceError('invalid', `${reference} is a glob: name one tag, as in alpine:3`)
  }
  const { repository, tag, digest } = parseImageName(reference, naming)
  if (tag !== undefined) return { repository, tag, digest }
  throw new MaintenanceError(
    'invalid',
    `${reference} names no tag, and only a tag can be held: write NAME:TAG[@DIGEST]`,
  )
}

async function fetchManifest(fetch: () => Promise<boolean>, name: string): Promise<boolean> {
  try {
    return await fetch()
  } catch (cause) {
    // The operator asked for this one manifest: what its upstream says is the answer.
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new MaintenanceError('unknown', `${name} is not here, and cannot be fetched: ${said}`)
  }
}
