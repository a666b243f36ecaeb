import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { Content } from './bytes.ts'
import { seededBytes, seededContent } from './bytes.ts'
import { tarOf } from './tar.ts'

/** A descriptor with the bytes that it describes. */
export interface TestBlob extends Descriptor {
  readonly bytes: Uint8Array
}

export interface TestImage {
  readonly manifest: TestBlob
  readonly config: TestBlob
  readonly layers: readonly TestBlob[]
  readonly platform: Platform
}

export interface TestIndex {
  readonly manifest: TestBlob
  readonly images: readonly TestImage[]
}

/** A blob that is made while it is read, for sizes that no test should hold in memory. */
export interface HugeBlob extends Content {
  readonly digest: Digest
}

interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

type Family = 'oci' | 'docker'

export interface ImageOptions {
  /** Images of different seeds share nothing. Default 'image'. */
  readonly seed?: string
  /** Default 2. */
  readonly layers?: number
  /** Bytes of each layer's file; the gzipped layer is about 150 bytes larger. Default 2,000. */
  readonly layerBytes?: number
  readonly platform?: Platform
  /** Default 'oci'. */
  readonly mediaTypes?: Family
}

const MEDIA_TYPES = {
  oci: {
    index: OCI_INDEX,
    manifest: OCI_MANIFEST,
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  docker: {
    index: DOCKER_LIST,
    manifest: DOCKER_MANIFEST,
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
} as const

const CREATED = '2026-01-01T00:00:00Z'

/** A valid image: gzipped tar layers that a client can unpack, a configuration that names them. */
export function buildImage(options: ImageOptions = {}): TestImage {
  const { seed = 'image', layers: count = 2, layerBytes = 2_000 } = options
  const { platform = { os: 'linux', architecture: 'amd64' }, mediaTypes = 'oci' } = options
  const types = MEDIA_TYPES[mediaTypes]
  const archives = Array.from({ length: count }, (_, n) => {
    const label = `${seed}/${platform.architecture}/${n}`
    return tarOf([{ path: `layer-${n}.bin`, bytes: seededBytes(label, layerBytes) }])
  })
  const layers = archives.map((tar) => blob(types.layer, gzipSync(tar, { level: 1 })))
  const config = jsonBlob(types.config, {
    created: CREATED,
    ...platform,
    config: { Labels: { seed } },
    rootfs: { type: 'layers', diff_ids: archives.map((tar) => digestOf(tar)) },
    history: archives.map((_, n) => ({ created: CREATED, created_by: `layer ${n}` })),
  })
  const manifest = jsonBlob(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptor(config),
    layers: layers.map(descriptor),
  })
  return { manifest, config, layers, platform }
}

/** A multi-arch index: one entry per image, with its platform. */
export function buildIndex(images: readonly TestImage[], mediaTypes: Family = 'oci'): TestIndex {
  const mediaType = MEDIA_TYPES[mediaTypes].index
  const manifests = images.map((image) => ({
    ...descriptor(image.manifest),
    platform: image.platform,
  }))
  return { manifest: jsonBlob(mediaType, { schemaVersion: 2, mediaType, manifests }), images }
}

/** A blob of exactly `size` bytes, in memory. */
export function buildBlob(seed: string, size: number): TestBlob {
  return blob('application/octet-stream', seededBytes(seed, size))
}

/** Hashes the content once, in a stream; about a quarter of a second for 256 MiB. */
export function buildHugeBlob(seed: string, size: number): HugeBlob {
  const content = seededContent(seed, size)
  const hash = createHash('sha256')
  for (const chunk of content.read(0, size)) hash.update(chunk)
  return { ...content, digest: `sha256:${hash.digest('hex')}` as Digest }
}

function jsonBlob(mediaType: string, value: unknown): TestBlob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)))
}

function blob(mediaType: string, bytes: Uint8Array): TestBlob {
  return { mediaType, digest: digestOf(bytes), size: bytes.length, bytes }
}

function descriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
