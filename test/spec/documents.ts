import type { Digest, DigestAlgorithm } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { DOCKER_LIST, OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts'
import { described, descriptor } from '../support/artifacts.ts'
import type { TestBlob } from '../support/images.ts'
import { buildBlob, buildImage, buildIndex } from '../support/images.ts'

const SBOM = 'application/vnd.example.sbom.v1+json'
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json'

function document(mediaType: string, text: string, algorithm?: DigestAlgorithm): TestBlob {
  return described(mediaType, Buffer.from(text), algorithm)
}

function json(mediaType: string, value: object, algorithm?: DigestAlgorithm): TestBlob {
  return document(mediaType, JSON.stringify({ schemaVersion: 2, mediaType, ...value }), algorithm)
}

const empty = document(EMPTY_TYPE, '{}')
const layer = buildBlob('spec layer', 5_000)
const image = buildImage({ seed: 'spec' })

interface ArtifactFields {
  readonly artifactType?: string | undefined
  readonly config?: TestBlob
  readonly subject?: TestBlob
  readonly annotations?: Readonly<Record<string, string>>
}

/** An artifact; `subject` is what it is about. */
function artifact(fields: ArtifactFields = {}, algorithm?: DigestAlgorithm): TestBlob {
  const { artifactType, config = empty, subject, annotations } = fields
  const body = {
    artifactType,
    config: descriptor(config),
    layers: [descriptor(empty)],
    subject: subject && descriptor(subject),
    annotations,
  }
  return json(OCI_MANIFEST, body, algorithm)
}

/** Every kind of manifest that image-spec allows, and some that it only does not forbid. */
export const MANIFESTS: readonly (readonly [kind: string, manifest: TestBlob])[] = [
  ['an image', image.manifest],
  ['a Docker image', buildImage({ seed: 'docker', mediaTypes: 'docker' }).manifest],
  ['an index', buildIndex([image]).manifest],
  ['a Docker list', buildIndex([image], 'docker').manifest],
  [
    'an index of an index',
    json(OCI_INDEX, { manifests: [descriptor(buildIndex([image]).manifest)] }),
  ],
  ['an empty index', json(OCI_INDEX, { manifests: [] })],
  ['an empty Docker list', json(DOCKER_LIST, { manifests: [] })],
  ['an artifact', artifact({ artifactType: SBOM, annotations: { 'org.example.seed': 'plain' } })],
  [
    'an artifact with a subject that is missing',
    artifact({ artifactType: SBOM, subject: image.manifest }),
  ],
  [
    'an index with a type and a subject',
    json(OCI_INDEX, { artifactType: 'x/y', manifests: [], subject: descriptor(image.manifest) }),
  ],
  ['an image without layers', json(OCI_MANIFEST, { config: descriptor(empty), layers: [] })],
  [
    'an image with a layer inside its descriptor',
    json(OCI_MANIFEST, {
      config: { ...descriptor(empty), data: Buffer.from(empty.bytes).toString('base64') },
      layers: [],
    }),
  ],
  [
    'an image with a layer that is elsewhere',
    json(OCI_MANIFEST, {
      config: descriptor(empty),
      layers: [{ ...descriptor(layer), urls: ['https://elsewhere.example/layer'] }],
    }),
  ],
  [
    'an image with fields that nobody knows',
    json(OCI_MANIFEST, { config: descriptor(empty), layers: [], 'x-own': [1, { a: null }] }),
  ],
  [
    'an image that does not say its media type',
    document(
      OCI_MANIFEST,
      JSON.stringify({ schemaVersion: 2, config: descriptor(empty), layers: [] }),
    ),
  ],
  ['an image with white space and its keys in no order', document(OCI_MANIFEST, spaced())],
  [
    'a manifest of nearly 4 MiB',
    json(OCI_MANIFEST, {
      config: descriptor(empty),
      layers: [],
      annotations: { long: 'A'.repeat(4 * 1024 * 1024 - 1_000) },
    }),
  ],
  ['a manifest of a type of its own', document('application/vnd.example.own.v1+json', '{"a":1}')],
  ['an image by sha512', json(OCI_MANIFEST, { config: descriptor(empty), layers: [] }, 'sha512')],
]

/** Two images whose referrers are listed, by each algorithm that has a tag for them. */
export const SUBJECTS: readonly (readonly [algorithm: string, subject: TestBlob])[] = [
  ['sha256', image.manifest],
  ['sha512', described(OCI_MANIFEST, image.manifest.bytes, 'sha512')],
]

const ANNOTATIONS = { 'org.example.sbom.format': 'json', 'org.example.text': 'Größe "1"\n' }
const SIGNATURE = 'application/vnd.example.signature.v1'
const config = document(SIGNATURE, '{}')

/** What refers to a subject, and what a list has to say of each besides its descriptor. */
export function referrersOf(subject: TestBlob): readonly (readonly [TestBlob, object])[] {
  const annotations = ANNOTATIONS
  const index = { manifests: [], subject: descriptor(subject) }
  return [
    [artifact({ artifactType: SBOM, subject, annotations }), { artifactType: SBOM, annotations }],
    [artifact({ config, subject }), { artifactType: SIGNATURE }],
    [artifact({ artifactType: '', config, subject }), { artifactType: SIGNATURE }],
    [artifact({ artifactType: SBOM, subject }, 'sha512'), { artifactType: SBOM }],
    [json(OCI_INDEX, { ...index, artifactType: SBOM }), { artifactType: SBOM }],
    [json(OCI_INDEX, { ...index, annotations }), { annotations }],
  ]
}

/** Blobs of every size that is special. */
export const BLOBS: readonly (readonly [kind: string, blob: TestBlob])[] = [
  ['of no bytes', buildBlob('none', 0)],
  ['of one byte', buildBlob('one', 1)],
  ['of {}', empty],
  ['of some bytes', layer],
  ['larger than what is checked before it is sent', buildBlob('large', 1_100_000)],
  ['by sha512', { ...layer, digest: digestOf(layer.bytes, 'sha512') }],
]

export const MISSING: readonly Digest[] = [
  digestOf(Buffer.from('missing')),
  digestOf(Buffer.from('missing'), 'sha512'),
]

function spaced(): string {
  const config = JSON.stringify(descriptor(empty))
  return `{ "layers" : [],\n\t"config": ${config},\r\n "mediaType":"${OCI_MANIFEST}", "schemaVersion": 2 }\n`
}
