import type { CarriedImage } from '../../core/airgap/carried.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import { readAttachment } from '../../oci/attachment.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { matchesDigest } from '../../oci/digest.ts'
import { readIndexEntries } from '../../oci/index-entries.ts'
import { isObject, parseJson } from '../../oci/json.ts'
import { MAX_MANIFEST_BYTES } from '../../oci/manifest.ts'
import { isImageType, isIndexType } from '../../oci/media-types.ts'
import { formatPlatform } from '../../oci/platform.ts'
import { BundleError } from '../bundle/bundle-error.ts'
import { MAX_HEADER_BYTES } from '../bundle/bundle-header.ts'
import { blobEntry, INDEX_ENTRY, parseEntryName } from '../bundle/entry-name.ts'
import type { Cargo, CargoBlob } from './cargo.ts'
import type { ForeignFile, Listing } from './foreign-archive.ts'
import { collectEntries, readEntries } from './foreign-archive.ts'
import { inFile } from './in-file.ts'
import type { LayoutRoot } from './layout-index.ts'
import { nameOf, readLayoutIndex } from './layout-index.ts'

/** An index in an index in an index: nobody goes deeper. */
const MAX_DEPTH = 4

/**
 * An OCI image layout, in a tar or in a directory. `name`: the repository of what it has no full name for.
 * Throws BundleError, and MaintenanceError where nothing in it has a name.
 */
export async function cargoOfLayout(
  file: ForeignFile,
  { files }: Listing,
  name: string | undefined,
  created: number,
): Promise<Cargo> {
  const blobs = blobsIn(files)
  const index = await collectEntries(file, new Set([INDEX_ENTRY]), MAX_HEADER_BYTES)
  const bytes = index.get(INDEX_ENTRY)
  if (bytes === undefined) throw new BundleError('refused', `${file.name} has no ${INDEX_ENTRY}`)
  const roots = await inFile(file.name, async () => readLayoutIndex(bytes))
  const manifests = await readManifests(file, roots, blobs)
  const { images, notes } = nameImages(roots, manifests, name)
  if (images.length === 0) throw nothingNamed(file.name, notes)
  return {
    origin: { created, name: file.name },
    images,
    blobs: [...blobs.values()],
    requires: [],
    parents: [],
    absent: [],
    notes,
    manifests: async () => manifests,
    async deliver(wanted, take, signal) {
      await inFile(file.name, async () => {
        for await (const entry of readEntries(file)) {
          signal.throwIfAborted()
          const blob = blobs.get(entry.name)
          if (blob === undefined || !wanted.has(blob.digest)) continue
          await take({ ...blob, place: `${file.name}: ${entry.name}` }, entry.body)
        }
      })
    },
    close: async () => {},
  }
}

function nameImages(
  roots: readonly LayoutRoot[],
  manifests: ReadonlyMap<Digest, Uint8Array>,
  name: string | undefined,
): { readonly images: readonly CarriedImage[]; readonly notes: readonly string[] } {
  const images: CarriedImage[] = []
  const notes: string[] = []
  const nameless: { readonly root: LayoutRoot; readonly reason: string }[] = []
  for (const root of roots) {
    const found = nameOf(root, name)
    if ('reason' in found) {
      nameless.push({ root, reason: found.reason })
      continue
    }
    if (found.written !== undefined) notes.push(`${found.written} becomes ${found.image}`)
    const { digest, mediaType, size } = root
    const platforms = platformsOf(root, manifests)
    images.push({ image: found.image, manifest: { digest, mediaType, size }, platforms })
  }
  const repositories = repositoriesOf(images, manifests)
  for (const { root, reason } of nameless) {
    const { digest, mediaType, size } = root
    const bytes = manifests.get(digest)
    const subject = bytes && subjectOf(bytes)
    const repository = subject && repositories.get(subject)
    if (subject === undefined || repository === undefined) {
      notes.push(`left out ${digest}: ${reason}`)
      continue
    }
    const image = `${repository}@${digest}`
    images.push({ image, manifest: { digest, mediaType, size }, platforms: 'all', subject })
    repositories.set(digest, repository)
  }
  return { images, notes }
}

/** Of the images and of the parts of an index: what is attached to one of them belongs to the same repository. */
function repositoriesOf(
  images: readonly CarriedImage[],
  manifests: ReadonlyMap<Digest, Uint8Array>,
): Map<Digest, string> {
  const repositories = new Map<Digest, string>()
  for (const { image, manifest } of images) {
    const repository = image.replace(/(?:@.*|:[^/:]*)$/, '')
    const bytes = isIndexType(manifest.mediaType) ? manifests.get(manifest.digest) : undefined
    for (const entry of bytes === undefined ? [] : readIndexEntries(bytes)) {
      repositories.set(entry.digest, repository)
    }
    repositories.set(manifest.digest, repository)
  }
  return repositories
}

function subjectOf(bytes: Uint8Array): Digest | undefined {
  try {
    const manifest = parseJson(bytes)
    return isObject(manifest) ? readAttachment(manifest).subject : undefined
  } catch {
    // What is no JSON is attached to nothing; whether it can be used is found out when it is committed.
    return undefined
  }
}

function nothingNamed(file: string, notes: readonly string[]): MaintenanceError {
  const why = notes.length === 0 ? 'its index.json names no image' : notes.join('; ')
  return new MaintenanceError('invalid', `there is nothing to import from ${file}: ${why}`)
}

function blobsIn(files: ReadonlyMap<string, number>): ReadonlyMap<string, CargoBlob> {
  const blobs = new Map<string, CargoBlob>()
  for (const [name, size] of files) {
    const parsed = parseEntryName(name)
    if (parsed?.kind === 'blob') blobs.set(name, { digest: parsed.digest, size })
  }
  return blobs
}

/** Those that the index names, and those that they name in turn, level by level: each is a pass over the archive. */
async function readManifests(
  file: ForeignFile,
  roots: readonly Descriptor[],
  blobs: ReadonlyMap<string, CargoBlob>,
): Promise<ReadonlyMap<Digest, Uint8Array>> {
  const found = new Map<Digest, Uint8Array>()
  let wanted = [...roots]
  for (let depth = 0; depth < MAX_DEPTH && wanted.length > 0; depth += 1) {
    const names = new Map(wanted.map(({ digest }) => [blobEntry(digest), digest]))
    const here = new Set([...names.keys()].filter((name) => blobs.has(name)))
    const bodies = await collectEntries(file, here, MAX_MANIFEST_BYTES)
    for (const [name, bytes] of bodies) {
      const digest = names.get(name)
      if (digest === undefined) continue
      if (!matchesDigest(bytes, digest)) {
        throw new BundleError('damaged', `${file.name}: ${name} has other bytes than its name says`)
      }
      found.set(digest, bytes)
    }
    wanted = wanted.flatMap(({ digest, mediaType }) => {
      const bytes = isIndexType(mediaType) ? found.get(digest) : undefined
      const entries = bytes === undefined ? [] : readIndexEntries(bytes)
      return entries.filter(
        (entry) =>
          !found.has(entry.digest) &&
          (isIndexType(entry.mediaType) || isImageType(entry.mediaType)),
      )
    })
  }
  return found
}

/** Of an index that other platforms were left out of, those that are there. */
function platformsOf(
  { digest, mediaType }: Descriptor,
  manifests: ReadonlyMap<Digest, Uint8Array>,
): CarriedImage['platforms'] {
  const bytes = isIndexType(mediaType) ? manifests.get(digest) : undefined
  const entries = bytes === undefined ? [] : readIndexEntries(bytes)
  const withPlatform = entries.filter(({ platform }) => platform !== undefined)
  if (withPlatform.every((entry) => manifests.has(entry.digest))) return 'all'
  const held = withPlatform.filter((entry) => manifests.has(entry.digest))
  return [...new Set(held.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : [])))]
}
