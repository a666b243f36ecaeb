import type { CarriedImage } from '../../core/airgap/carried.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Digest } from '../../oci/digest.ts'
import { matchesDigest } from '../../oci/digest.ts'
import { isImageType, isIndexType } from '../../oci/media-types.ts'
import { choiceOf } from './arrival.ts'
import type { Cargo } from './cargo.ts'
import { matchesGlob } from './image-glob.ts'

/** Only the images whose names match, with what is attached to them. Throws MaintenanceError where none does. */
export async function selectCargo(cargo: Cargo, glob: string): Promise<Cargo> {
  const { images, origin } = cargo
  const named = images.filter(({ image }) => matchesGlob(glob, image))
  if (named.length === 0) {
    const [example = { image: 'nothing' }] = images
    const hint = `names are written in full, as in ${example.image}`
    throw new MaintenanceError('unknown', `nothing in ${origin.name} matches ${glob}: ${hint}`)
  }
  const narrowed = await narrowCargo(cargo, named)
  if (narrowed !== undefined) return narrowed
  const why = 'which blobs belong to an image can only be told of a file, not of what comes once'
  throw new MaintenanceError('invalid', `--only cannot be used with ${origin.name}: ${why}`)
}

/** Only these images, what is attached to them, and their blobs; `undefined` where there is no telling which those are. */
export async function narrowCargo(
  cargo: Cargo,
  named: readonly CarriedImage[],
): Promise<Cargo | undefined> {
  if (cargo.manifests === undefined) return undefined
  const bodies = await cargo.manifests(new Set(cargo.images.map(({ manifest }) => manifest.digest)))
  const wanted = new Set<Digest>()
  const chosen = new Set<CarriedImage>()
  let queue = named
  while (queue.length > 0) {
    for (const image of queue) {
      chosen.add(image)
      await addParts(image, bodies, wanted)
    }
    queue = cargo.images.filter(
      (image) => !chosen.has(image) && image.subject !== undefined && wanted.has(image.subject),
    )
  }
  return {
    ...cargo,
    images: [...chosen],
    blobs: cargo.blobs.filter(({ digest }) => wanted.has(digest)),
    requires: cargo.requires.filter(({ digest }) => wanted.has(digest)),
  }
}

async function addParts(
  { manifest, platforms }: CarriedImage,
  bodies: ReadonlyMap<Digest, Uint8Array>,
  wanted: Set<Digest>,
): Promise<void> {
  const walk = await walkImage(manifest, choiceOf(platforms), async ({ digest }) => {
    const bytes = bodies.get(digest)
    return bytes !== undefined && matchesDigest(bytes, digest) ? bytes : undefined
  })
  for (const { digest } of walk.parts) wanted.add(digest)
  const unread = walk.unread.find(
    ({ mediaType }) => isIndexType(mediaType) || isImageType(mediaType),
  )
  if (unread === undefined) return
  // What it names is here already, or nowhere: with all of it, nothing that is needed is left out.
  for (const digest of bodies.keys()) wanted.add(digest)
}
