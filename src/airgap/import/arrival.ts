import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { HeldPart, ImportCatalog } from '../../core/airgap/import-catalog.ts'
import type { ImagePart, ImageWalk } from '../../core/airgap/walk-image.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import type { BlobStore, RecordedManifest } from '../../core/ports.ts'
import { readAll } from '../../core/read-all.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { matchesDigest } from '../../oci/digest.ts'
import { MAX_MANIFEST_BYTES, readManifest } from '../../oci/manifest.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import { parsePlatform } from '../../oci/platform.ts'
import type { Repository } from '../../oci/reference.ts'
import { isStored } from './is-stored.ts'
import type { Ownership } from './ownership.ts'

interface Deps {
  readonly store: BlobStore
  readonly imports: ImportCatalog
  readonly ownership: Ownership
  readonly session: string
  /** The id of the bundle that the image comes in. */
  readonly bundle?: string
}

/** What is here of an image that is to be given to a repository. */
export interface Arrival {
  readonly parts: readonly (ImagePart & { readonly held?: HeldPart })[]
  /** Not here. */
  readonly missing: readonly Digest[]
  /** Here, and for others only. */
  readonly foreign: readonly Digest[]
  readonly manifests: readonly {
    readonly manifest: RecordedManifest
    readonly children: readonly Descriptor[]
  }[]
}

/**
 * Finds out from the manifests that are here what the image consists of: what the bundle says of that is not
 * believed. Throws ManifestMismatch, and SyntaxError, for a manifest that is none.
 */
export async function readArrival(
  image: Pick<CarriedImage, 'manifest' | 'platforms'>,
  repository: Repository,
  deps: Deps,
): Promise<Arrival> {
  const manifests: Arrival['manifests'][number][] = []
  const read = async (descriptor: Descriptor) => {
    const bytes = await readStored(descriptor, deps.store)
    if (bytes !== undefined) manifests.push(toRecord(descriptor, bytes))
    return bytes
  }
  const walk = await walkImage(image.manifest, choiceOf(image.platforms), read)
  return { ...(await judgeParts(walk, repository, deps)), manifests }
}

/** A platform that cannot be read is none that an index could have. */
export function choiceOf(platforms: CarriedImage['platforms']): PlatformChoice {
  if (platforms === 'all') return 'all'
  return platforms.flatMap((text) => parsePlatform(text) ?? [])
}

async function judgeParts(
  { parts, unread, unwanted }: ImageWalk,
  repository: Repository,
  { store, imports, ownership, ...run }: Deps,
): Promise<Omit<Arrival, 'manifests'>> {
  const missing = new Set<Digest>(unread.map(({ digest }) => digest))
  // An index without any of its images is no image, whatever the bundle calls it.
  const isHollow = unwanted.length > 0 && parts.every(({ platform }) => platform === undefined)
  if (isHollow) for (const { digest } of unwanted) missing.add(digest)
  const foreign: Digest[] = []
  const judged: Arrival['parts'][number][] = []
  for (const part of parts) {
    const { digest, size } = part
    const held = await imports.part(repository, digest)
    const isHere = held?.size === size && (await isStored(digest, size, store))
    if (!isHere) missing.add(digest)
    else if (!ownership.mayGive(digest, held, run)) foreign.push(digest)
    judged.push({ ...part, ...(held && { held }) })
  }
  return { parts: judged, missing: [...missing], foreign }
}

async function readStored(
  { digest, size }: Descriptor,
  store: BlobStore,
): Promise<Uint8Array | undefined> {
  if (size > MAX_MANIFEST_BYTES) return undefined
  const blob = await store.open(digest, size)
  const bytes = blob && (await readAll(blob, size))
  return bytes !== undefined && matchesDigest(bytes, digest) ? bytes : undefined
}

function toRecord(descriptor: Descriptor, bytes: Uint8Array): Arrival['manifests'][number] {
  const { children, mediaType, ...attachment } = readManifest(bytes, descriptor.mediaType)
  return { manifest: { ...descriptor, mediaType, ...attachment }, children }
}
