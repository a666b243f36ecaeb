import type { Descriptor } from '../../src/oci/descriptor.ts'
import type { DigestAlgorithm } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import type { TestBlob, TestImage } from './images.ts'

export interface ArtifactOptions {
  readonly subject?: Descriptor
  /** The manifest's own field; absent, its configuration's media type is the artifact type. */
  readonly artifactType?: string
  readonly configType?: string
  readonly annotations?: Readonly<Record<string, unknown>>
  /** Default sha256, for the manifest and for what it names. */
  readonly algorithm?: DigestAlgorithm
  /** Artifacts of different seeds share nothing but the configuration. */
  readonly seed?: string
}

/** distribution-spec: what has no configuration has this one. */
const EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json'

/** Something that is no image: a signature, an SBOM, a chart. */
export function buildArtifact(options: ArtifactOptions = {}): TestImage {
  const { subject, artifactType, annotations, seed = 'artifact' } = options
  const { configType = EMPTY_CONFIG, algorithm = 'sha256' } = options
  const config = described(configType, Buffer.from('{}'), algorithm)
  const layer = described('application/vnd.example.data+xyz', Buffer.from(seed), algorithm)
  const body = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    config: descriptor(config),
    layers: [descriptor(layer)],
    subject: subject && descriptor(subject),
    annotations,
  }
  const manifest = described(OCI_MANIFEST, Buffer.from(JSON.stringify(body)), algorithm)
  return { manifest, config, layers: [layer], platform: { os: 'unknown', architecture: 'unknown' } }
}

/** An index whose entries say of the artifacts what a list of referrers says. */
export function buildReferrersIndex(entries: readonly object[]): TestBlob {
  const body = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries }
  return described(OCI_INDEX, Buffer.from(JSON.stringify(body)))
}

/** The same bytes under a digest of another algorithm, or of another type. */
export function described(
  mediaType: string,
  bytes: Uint8Array,
  algorithm: DigestAlgorithm = 'sha256',
): TestBlob {
  return { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length, bytes }
}

export function descriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}
