import { gzipSync } from 'node:zlib'
import { digestOf } from '../../../src/oci/digest.ts'
import { OCI_MANIFEST } from '../../../src/oci/media-types.ts'
import { seededBytes } from '../../support/bytes.ts'
import type { TestBlob, TestImage } from '../../support/images.ts'
import { tarOf } from '../../support/tar.ts'

/** Nothing runs them. */
const PLATFORM = { os: 'unknown', architecture: 'unknown' }

/** A Helm chart as `helm push` makes it. `name` has to be the last part of its repository. */
export function buildChart(name: string, version: string): TestImage {
  const metadata = { apiVersion: 'v2', name, version, description: 'For the end-to-end tests' }
  const archive = tarOf([
    { path: `${name}/Chart.yaml`, bytes: Buffer.from(JSON.stringify(metadata)) },
    { path: `${name}/templates/none.yaml`, bytes: Buffer.from('# nothing\n') },
  ])
  const type = 'application/vnd.cncf.helm'
  return artifact({}, jsonBlob(`${type}.config.v1+json`, metadata), [
    blob(`${type}.chart.content.v1.tar+gzip`, gzipSync(archive)),
  ])
}

/** Two files of a media type that no registry knows, as `oras push` makes it. */
export function buildArtifact(seed: string): TestImage {
  const files = [100_000, 1_200_000].map((size) =>
    blob('application/vnd.example.data', seededBytes(`${seed}/${size}`, size)),
  )
  const empty = jsonBlob('application/vnd.oci.empty.v1+json', {})
  return artifact({ artifactType: 'application/vnd.example.thing' }, empty, files)
}

function artifact(extra: object, config: TestBlob, layers: readonly TestBlob[]): TestImage {
  const manifest = jsonBlob(OCI_MANIFEST, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    ...extra,
    config: descriptor(config),
    layers: layers.map(descriptor),
  })
  return { manifest, config, layers, platform: PLATFORM }
}

function jsonBlob(mediaType: string, value: unknown): TestBlob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)))
}

function blob(mediaType: string, bytes: Uint8Array): TestBlob {
  return { mediaType, digest: digestOf(bytes), size: bytes.length, bytes }
}

function descriptor({ mediaType, digest, size }: TestBlob) {
  return { mediaType, digest, size }
}
