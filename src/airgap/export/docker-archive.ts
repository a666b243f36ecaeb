import type { ExportApi, ExportPlan } from '../../core/airgap/export-api.ts'
import { readPlatformChoice } from '../../core/airgap/platform-choice.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { matchesDigest } from '../../oci/digest.ts'
import { asArray, isObject, parseJson } from '../../oci/json.ts'
import { MAX_MANIFEST_BYTES, readDescriptor } from '../../oci/manifest.ts'
import { isImageType } from '../../oci/media-types.ts'
import { blobEntry } from '../bundle/entry-name.ts'
import { TAR_END, tarEntryBytes } from '../bundle/write-tar.ts'
import type { PlacedEntry } from './cut-parts.ts'
import type { PlannedTar } from './make-bundle.ts'
import { smallEntry } from './make-bundle.ts'
import { damagedHere, readHeldBlob } from './read-held-blob.ts'

export interface DockerArchive {
  readonly tar: PlannedTar
  /** Those that are in it. */
  readonly images: ExportPlan['images']
  /** Those that it cannot hold. */
  readonly refused: readonly { readonly image: string; readonly reason: string }[]
}

type Reader = Pick<ExportApi, 'read'>
type PlannedImage = ExportPlan['images'][number]

/** `manifest.json` of `docker save`. */
interface Entry {
  readonly Config: string
  readonly RepoTags: string[]
  readonly Layers: readonly string[]
}

const MANIFEST_ENTRY = 'manifest.json'
const CONFIG_TYPES: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])

/**
 * What `docker save` writes and every `docker load` reads: images of one platform each, by their configurations
 * and layers, which may stay compressed. Their manifests, and so their digests, are not in it.
 */
export async function planDockerArchive(
  plan: ExportPlan,
  exports: Reader,
  signal: AbortSignal,
): Promise<DockerArchive> {
  const entries = new Map<Digest, Entry>()
  const needed = new Set<Digest>()
  const images: PlannedImage[] = []
  const refused: DockerArchive['refused'][number][] = []
  for (const image of plan.images) {
    if (image.subject !== undefined) continue
    const found = await readImage(image, exports, signal)
    if (typeof found === 'string') {
      refused.push({ image: image.image, reason: found })
      continue
    }
    images.push(image)
    for (const { digest } of [found.config, ...found.layers]) needed.add(digest)
    const { digest } = found.manifest
    const entry = entries.get(digest) ?? toEntry(found)
    // What was asked for by its digest has no name in there.
    if (!image.image.includes('@')) entry.RepoTags.push(image.image)
    entries.set(digest, entry)
  }
  const blobs = plan.blobs.filter(({ digest }) => needed.has(digest))
  return { tar: toTar([...entries.values()], blobs), images, refused }
}

interface SingleImage {
  readonly manifest: Descriptor
  readonly config: Descriptor
  /** In their order; one may be there twice. */
  readonly layers: readonly Descriptor[]
}

/** Or why it is none that Docker could load. */
async function readImage(
  { manifest: root, platforms }: PlannedImage,
  exports: Reader,
  signal: AbortSignal,
): Promise<SingleImage | string> {
  const read = (manifest: Descriptor) => readManifestBytes(manifest, exports, signal)
  const choice = readPlatformChoice(platforms === 'all' ? ['all'] : platforms)
  const { parts } = await walkImage(root, choice, read)
  const found = parts.filter(
    ({ kind, mediaType, platform, digest }) =>
      kind === 'manifest' &&
      isImageType(mediaType) &&
      (platform !== undefined || digest === root.digest),
  )
  const [manifest] = found
  if (manifest === undefined) return 'it is no image, or an index without platforms'
  if (found.length > 1) {
    const names = found.map(({ platform }) => platform).join(', ')
    return `it is for ${names}, and this format holds one: name one with --platform`
  }
  const body = parseJson(await read(manifest))
  const config = isObject(body) ? readDescriptor(body['config']) : undefined
  const listed = isObject(body) ? asArray(body['layers']).map(readDescriptor) : []
  const layers = listed.filter((layer) => layer !== undefined)
  if (config === undefined || !CONFIG_TYPES.has(config.mediaType)) {
    return 'it is no image that Docker could load: it has no image configuration'
  }
  const here = new Set(parts.map(({ digest }) => digest))
  const isWhole = layers.length === listed.length && layers.every(({ digest }) => here.has(digest))
  return isWhole ? { manifest, config, layers } : 'it has layers that nobody may carry'
}

async function readManifestBytes(
  manifest: Descriptor,
  exports: Reader,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { digest, size } = manifest
  const chunks: Uint8Array[] = []
  const range = { start: 0, end: Math.min(size, MAX_MANIFEST_BYTES) }
  for await (const chunk of readHeldBlob(manifest, range, exports, signal)) {
    chunks.push(Uint8Array.from(chunk))
  }
  const bytes = Buffer.concat(chunks)
  if (matchesDigest(bytes, digest)) return bytes
  throw damagedHere(digest)
}

function toEntry({ config, layers }: SingleImage): Entry {
  return {
    Config: blobEntry(config.digest),
    RepoTags: [],
    Layers: layers.map(({ digest }) => blobEntry(digest)),
  }
}

function toTar(images: readonly Entry[], blobs: ExportPlan['blobs']): PlannedTar {
  const small = [smallEntry(MANIFEST_ENTRY, () => Buffer.from(`${JSON.stringify(images)}\n`))]
  const entries = blobs.map((blob): PlacedEntry => {
    const { digest, size } = blob
    return { name: blobEntry(digest), blob, part: 1, start: 0, size }
  })
  const sizes = [...small, ...entries].map(({ name, size }) => tarEntryBytes(name, size))
  return { small, entries, bytes: sizes.reduce((sum, size) => sum + size, TAR_END.length) }
}
