import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { matchesDigest, parseDigest } from '../../oci/digest.ts'
import { asArray, isObject, parseJson } from '../../oci/json.ts'
import { MAX_MANIFEST_BYTES, readManifest } from '../../oci/manifest.ts'
import { isImageType, isIndexType } from '../../oci/media-types.ts'
import type { BlobStore } from '../ports.ts'
import { readAll } from '../read-all.ts'
import type { Inventory } from './inventory.ts'
import type { ImageNode } from './reports.ts'

/** An index in an index in an index: nobody goes deeper, and a loop cannot be made of digests. */
const MAX_DEPTH = 4
/** Of one tree. An index of the largest size names some twenty thousand. */
const MAX_NODES = 25_000

export interface TreeDeps {
  readonly store: BlobStore
  readonly inventory: Pick<Inventory, 'blob'>
}

/** A manifest with everything it names, as far as that can be read from what is here. */
export async function readTree(root: Descriptor, deps: TreeDeps): Promise<ImageNode> {
  let room = MAX_NODES
  const visit = async (
    descriptor: Descriptor,
    platform: string | undefined,
    depth: number,
  ): Promise<ImageNode> => {
    room -= 1
    const { digest, mediaType, size } = descriptor
    const stored = (await deps.inventory.blob(digest)) !== undefined
    const isManifest = isIndexType(mediaType) || isImageType(mediaType)
    const bytes =
      stored && isManifest && depth < MAX_DEPTH ? await read(descriptor, deps) : undefined
    const children: ImageNode[] = []
    if (bytes !== undefined) {
      const platforms = isIndexType(mediaType) ? readPlatforms(bytes) : new Map<Digest, string>()
      for (const child of readManifest(bytes, mediaType).children) {
        if (room > 0) children.push(await visit(child, platforms.get(child.digest), depth + 1))
      }
    }
    return { digest, mediaType, size, stored, ...(platform && { platform }), children }
  }
  return visit(root, undefined, 0)
}

/** `undefined` for one that cannot be read, or is damaged: then it has no children to show. */
async function read(descriptor: Descriptor, { store }: TreeDeps): Promise<Uint8Array | undefined> {
  const { digest, size } = descriptor
  if (size > MAX_MANIFEST_BYTES) return undefined
  const blob = await store.open(digest, size)
  if (blob === undefined) return undefined
  const bytes = await readAll(blob, size)
  return matchesDigest(bytes, digest) ? bytes : undefined
}

function readPlatforms(bytes: Uint8Array): ReadonlyMap<Digest, string> {
  const index = parseJson(bytes)
  const platforms = new Map<Digest, string>()
  for (const entry of isObject(index) ? asArray(index['manifests']) : []) {
    if (!isObject(entry) || typeof entry['digest'] !== 'string') continue
    const digest = parseDigest(entry['digest'])
    const platform = isObject(entry['platform']) ? entry['platform'] : {}
    const { os, architecture, variant } = platform
    const words = [os, architecture, variant].filter((word) => typeof word === 'string')
    // BuildKit puts provenance and SBOMs beside the images that they are about.
    const text = os === 'unknown' ? 'attestation' : words.join('/')
    if (digest !== undefined && text !== '') platforms.set(digest, text)
  }
  return platforms
}
