import { createHash } from 'node:crypto'
import type { CarriedImage } from '../../core/airgap/carried.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { digestOf } from '../../oci/digest.ts'
import { isObject, parseJson } from '../../oci/json.ts'
import { OCI_MANIFEST } from '../../oci/media-types.ts'
import { BundleError } from '../bundle/bundle-error.ts'
import type { Cargo, CargoBlob, TakeBlob } from './cargo.ts'
import type { SavedImage } from './docker-manifest.ts'
import { DOCKER_ENTRY, readDockerManifest } from './docker-manifest.ts'
import type { ForeignFile, Listing } from './foreign-archive.ts'
import { collectEntries, readEntries } from './foreign-archive.ts'
import { detectCompression } from './inflate.ts'
import { inFile } from './in-file.ts'
import { fullName } from '../discover/full-name.ts'

const MAX_MANIFEST = 4 * 1024 * 1024
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
/** How they are named, by the compression that their first bytes tell. */
const SUFFIX = { gzip: '+gzip', zstd: '+zstd' } as const

/** An image whose manifest has been made, because such archives have none. */
interface MadeImage {
  readonly manifest: Descriptor
  readonly bytes: Uint8Array
  readonly tags: readonly string[]
}

/**
 * What `docker save` and `podman save` write. The bytes of layers and configurations stay as they are; their
 * manifest is made here, so that the image has another digest than at the registry that it came from. Throws
 * BundleError, and MaintenanceError where nothing in it has a name.
 */
export async function cargoOfDockerArchive(
  file: ForeignFile,
  listing: Listing,
  name: string | undefined,
  created: number,
): Promise<Cargo> {
  const found = await collectEntries(file, new Set([DOCKER_ENTRY]), MAX_MANIFEST)
  const saved = await inFile(file.name, async () =>
    readDockerManifest(found.get(DOCKER_ENTRY) ?? new Uint8Array(0), listing),
  )
  const configs = await collectEntries(
    file,
    new Set(saved.map(({ config }) => config)),
    MAX_MANIFEST,
  )
  const layers = await describeLayers(file, new Set(saved.flatMap((image) => image.layers)))
  const { images, notes, blobs, made } = await inFile(file.name, async () =>
    makeImages(saved, configs, layers, name),
  )
  if (images.length === 0) {
    const why = notes.join('; ')
    throw new MaintenanceError('invalid', `there is nothing to import from ${file.name}: ${why}`)
  }
  const offered = new Map<Digest, CargoBlob>()
  for (const [digest, bytes] of made) offered.set(digest, { digest, size: bytes.length })
  for (const { digest, size } of blobs.values()) offered.set(digest, { digest, size })
  return {
    origin: { created, name: file.name },
    images,
    blobs: [...offered.values()],
    requires: [],
    parents: [],
    absent: [],
    notes,
    manifests: async () => made,
    deliver: (wanted, take, signal) => deliver({ file, blobs, made }, wanted, take, signal),
    close: async () => {},
  }
}

interface MadeImages {
  readonly images: readonly CarriedImage[]
  readonly notes: readonly string[]
  /** By the names of their entries. */
  readonly blobs: ReadonlyMap<string, CargoBlob>
  readonly made: ReadonlyMap<Digest, Uint8Array>
}

function makeImages(
  saved: readonly SavedImage[],
  configs: ReadonlyMap<string, Uint8Array>,
  layers: ReadonlyMap<string, Descriptor>,
  repository: string | undefined,
): MadeImages {
  const blobs = new Map<string, CargoBlob>(layers)
  const made = new Map<Digest, Uint8Array>()
  const images: CarriedImage[] = []
  const notes: string[] = []
  for (const image of saved) {
    const { manifest, bytes, tags } = makeManifest(image, configs, layers)
    const config = configs.get(image.config) ?? new Uint8Array(0)
    blobs.set(image.config, { digest: digestOf(config), size: config.length })
    const names = namesOf(tags, repository, manifest.digest)
    for (const tag of names) {
      images.push({ image: tag, manifest, platforms: 'all' })
      notes.push(`${tag} gets the new digest ${manifest.digest}: such archives carry no manifest`)
    }
    const hint = 'it has no name: say with --name to which repository it belongs'
    if (names.length === 0) notes.push(`left out ${image.config}: ${hint}`)
    else made.set(manifest.digest, bytes)
  }
  return { images, notes, blobs, made }
}

async function deliver(
  { file, blobs, made }: Pick<MadeImages, 'blobs' | 'made'> & { readonly file: ForeignFile },
  wanted: ReadonlySet<Digest>,
  take: TakeBlob,
  signal: AbortSignal,
): Promise<void> {
  const left = new Set(wanted)
  await inFile(file.name, async () => {
    for await (const entry of readEntries(file)) {
      signal.throwIfAborted()
      const blob = blobs.get(entry.name)
      if (blob === undefined || !left.delete(blob.digest)) continue
      await take({ ...blob, place: `${file.name}: ${entry.name}` }, entry.body)
    }
  })
  for (const [digest, bytes] of made) {
    if (!left.has(digest)) continue
    const place = `${file.name}: the manifest that was made of ${DOCKER_ENTRY}`
    await take({ digest, size: bytes.length, place }, once(bytes))
  }
}

function namesOf(
  tags: readonly string[],
  repository: string | undefined,
  digest: Digest,
): readonly string[] {
  const names = tags.flatMap((tag) => fullName(tag) ?? [])
  if (names.length > 0 || repository === undefined) return names
  const name = fullName(`${repository}@${digest}`)
  return name === undefined ? [] : [name]
}

/** By the names of their entries: reads each, because only its bytes tell its digest. */
async function describeLayers(
  file: ForeignFile,
  names: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Descriptor>> {
  const layers = new Map<string, Descriptor>()
  await inFile(file.name, async () => {
    for await (const { name, size, body } of readEntries(file)) {
      if (!names.has(name)) continue
      const hash = createHash('sha256')
      let start: Uint8Array | undefined
      for await (const chunk of body) {
        start ??= chunk.slice(0, 4)
        hash.update(chunk)
      }
      const compression = detectCompression(start ?? new Uint8Array(0))
      const mediaType = compression ? `${LAYER_TYPE}${SUFFIX[compression]}` : LAYER_TYPE
      layers.set(name, { digest: `sha256:${hash.digest('hex')}` as Digest, size, mediaType })
    }
  })
  return layers
}

function makeManifest(
  { config: name, layers: names, tags }: SavedImage,
  configs: ReadonlyMap<string, Uint8Array>,
  described: ReadonlyMap<string, Descriptor>,
): MadeImage {
  const body = configs.get(name)
  if (body === undefined) throw new BundleError('truncated', `${name} is missing`)
  const layers = names.map((layer) => {
    const found = described.get(layer)
    if (found === undefined) throw new BundleError('truncated', `${layer} is missing`)
    return found
  })
  checkDiffIds(name, body, names, layers)
  const config = { mediaType: CONFIG_TYPE, digest: digestOf(body), size: body.length }
  const value = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }
  const bytes = Buffer.from(JSON.stringify(value))
  const manifest = { mediaType: OCI_MANIFEST, digest: digestOf(bytes), size: bytes.length }
  return { manifest, bytes, tags }
}

/** The configuration names the layers by what they are unpacked, which is what these are mostly. */
function checkDiffIds(
  name: string,
  body: Uint8Array,
  names: readonly string[],
  layers: readonly Descriptor[],
): void {
  const config = readConfig(name, body)
  const { rootfs } = config
  const diffIds = isObject(rootfs) && Array.isArray(rootfs['diff_ids']) ? rootfs['diff_ids'] : []
  if (diffIds.length !== layers.length) {
    const said = `${name} names ${diffIds.length} layers`
    throw new BundleError('refused', `${DOCKER_ENTRY} lists ${layers.length} layers, and ${said}`)
  }
  for (const [index, { digest, mediaType }] of layers.entries()) {
    if (mediaType !== LAYER_TYPE || diffIds[index] === digest) continue
    const what = `${names[index]} has other bytes than ${name} says`
    throw new BundleError('damaged', what)
  }
}

function readConfig(name: string, body: Uint8Array) {
  try {
    const config = parseJson(body)
    if (isObject(config)) return config
  } catch (cause) {
    throw new BundleError('refused', `${name} is not JSON`, { cause })
  }
  throw new BundleError('refused', `${name} is not a JSON object`)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
