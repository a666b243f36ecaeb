import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { IndexEntry } from '../../oci/index-entries.ts'
import { readIndexEntries } from '../../oci/index-entries.ts'
import { readManifest } from '../../oci/manifest.ts'
import { isForeignLayer, isImageType, isIndexType } from '../../oci/media-types.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import { formatPlatform, isWanted } from '../../oci/platform.ts'

/** An index in an index in an index: nobody goes deeper. */
const MAX_DEPTH = 4

/** A manifest, or a blob that one names. */
export interface ImagePart extends Descriptor {
  readonly kind: 'manifest' | 'blob'
  /** `linux/arm64/v8`; of a manifest below an index that says so. */
  readonly platform?: string
}

export interface ImageWalk {
  /** The image itself first, and each digest once: a manifest, what it names, the next manifest. */
  readonly parts: readonly ImagePart[]
  /** Manifests that the index names for platforms that are not wanted. */
  readonly unwanted: readonly ImagePart[]
  /** Of the parts, those manifests that could not be read: what they name is missing from the parts. */
  readonly unread: readonly ImagePart[]
}

/** The manifest's verified bytes; `undefined` if it is not here. */
export type ReadManifest = (manifest: Descriptor) => Promise<Uint8Array | undefined>

/**
 * What an image consists of for the platforms that are wanted. An index keeps its digest whatever is left
 * out of it. An image that is no index is taken whole: only its configuration knows its platform. Throws
 * ManifestMismatch, and what `read` throws.
 */
export async function walkImage(
  root: Descriptor,
  choice: PlatformChoice,
  read: ReadManifest,
): Promise<ImageWalk> {
  const parts = new Map<Digest, ImagePart>()
  const unwanted = new Map<Digest, ImagePart>()
  const unread: ImagePart[] = []
  const visit = async (part: ImagePart, depth: number): Promise<void> => {
    if (parts.has(part.digest)) return
    parts.set(part.digest, part)
    if (part.kind === 'blob') return
    const bytes = depth > MAX_DEPTH ? undefined : await read(part)
    if (bytes === undefined) {
      unread.push(part)
      return
    }
    const { left, kept } = divide(bytes, part, choice)
    for (const child of left) unwanted.set(child.digest, child)
    for (const child of kept) await visit(child, depth + 1)
  }
  await visit({ ...root, kind: 'manifest' }, 0)
  for (const digest of parts.keys()) unwanted.delete(digest)
  return { parts: [...parts.values()], unwanted: [...unwanted.values()], unread }
}

interface Division {
  readonly kept: readonly ImagePart[]
  readonly left: readonly ImagePart[]
}

function divide(bytes: Uint8Array, { mediaType }: Descriptor, choice: PlatformChoice): Division {
  if (!isIndexType(mediaType)) {
    const { children } = readManifest(bytes, mediaType)
    const ours = children.filter((child) => !isForeignLayer(child.mediaType))
    return { kept: ours.map((child) => ({ ...child, kind: 'blob' })), left: [] }
  }
  const entries = readIndexEntries(bytes)
  const unwanted = new Set(
    entries
      .filter(({ platform }) => platform !== undefined && !isWanted(platform, choice))
      .map(({ digest }) => digest),
  )
  // Provenance goes with the image that it is about.
  const isLeft = ({ digest, attests }: IndexEntry) =>
    unwanted.has(digest) || (attests !== undefined && unwanted.has(attests))
  return {
    kept: entries.filter((entry) => !isLeft(entry)).map(toPart),
    left: entries.filter(isLeft).map(toPart),
  }
}

function toPart({ digest, mediaType, size, platform }: IndexEntry): ImagePart {
  const isManifest = isIndexType(mediaType) || isImageType(mediaType)
  return {
    digest,
    mediaType,
    size,
    kind: isManifest ? 'manifest' : 'blob',
    ...(platform && { platform: formatPlatform(platform) }),
  }
}
