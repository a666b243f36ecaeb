import { createReadStream } from 'node:fs'
import type { BundleEntry } from '../../../src/airgap/bundle/bundle-handlers.ts'
import type { BundleHeader } from '../../../src/airgap/bundle/bundle-header.ts'
import { readBundle } from '../../../src/airgap/bundle/read-bundle.ts'
import type { ExportRequest } from '../../../src/core/airgap/export-api.ts'
import { digestHex, digestOf } from '../../../src/oci/digest.ts'
import { get, pull, pullIndex } from '../../core/maintenance/pulled.ts'
import { buildArtifact } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { TestMirror } from '../../support/test-mirror.ts'

export const AMD64 = buildImage({ seed: 'stock', layerBytes: 5_000 })
export const ARM64 = buildImage({
  seed: 'stock',
  platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
})
export const INDEX = buildIndex([AMD64, ARM64])
export const TOOL = buildImage({ seed: 'tool', layers: 1, layerBytes: 300_000 })
export const SIGNATURE = buildArtifact({ seed: 'signature' })
export const SIGNATURE_TAG = `sha256-${digestHex(AMD64.manifest.digest)}.sig`
export const SBOM = buildArtifact({ seed: 'sbom', subject: INDEX.manifest, artifactType: 'a/sbom' })

export const EVERYTHING: ExportRequest = {
  references: [],
  all: true,
  pinned: false,
  referrers: true,
}

/**
 * A mirror that has of `app:1`, an index, the amd64 image with its signature and the index' SBOM; `tool:2`,
 * and of `half:1` the manifest only.
 */
export async function startStocked(
  dir?: TempDir,
): Promise<{ readonly mirror: TestMirror; readonly registry: FakeRegistry } & AsyncDisposable> {
  const registry = await FakeRegistry.start()
  registry.add('library/app', INDEX, '1')
  registry.add('library/app', SIGNATURE, SIGNATURE_TAG)
  registry.add('library/app', SBOM)
  registry.add('acme/tool', TOOL, '2')
  registry.add('acme/half', ARM64, '1')
  const mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } }, dir)
  await pullIndex(mirror, 'library/app', '1', INDEX, AMD64)
  await pull(mirror, 'library/app', SIGNATURE_TAG, SIGNATURE)
  await pull(mirror, 'library/app', SBOM.manifest.digest, SBOM)
  await pull(mirror, 'acme/tool', '2', TOOL)
  await get(mirror, '/v2/acme/half/manifests/1')
  await mirror.settle()
  const close = async () => {
    await mirror[Symbol.asyncDispose]()
    await registry.close()
  }
  return { mirror, registry, [Symbol.asyncDispose]: close }
}

/** What is in it, each blob compared with its digest. */
export async function openBundle(path: string): Promise<{
  readonly header: BundleHeader
  readonly entries: readonly BundleEntry[]
  readonly bytes: ReadonlyMap<string, Buffer>
}> {
  const entries: BundleEntry[] = []
  const bytes = new Map<string, Buffer>()
  const found: BundleHeader[] = []
  const handlers = {
    header: async (header: BundleHeader) => {
      found.push(header)
    },
    blob: async (entry: BundleEntry, body: AsyncIterable<Uint8Array>) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of body) chunks.push(Uint8Array.from(chunk))
      const whole = Buffer.concat(chunks)
      if (entry.piece === undefined && digestOf(whole) !== entry.digest) {
        throw new Error(`${entry.name} is not what it is called`)
      }
      entries.push(entry)
      bytes.set(entry.name, whole)
    },
  }
  await readBundle(createReadStream(path), handlers, new AbortController().signal)
  const [header] = found
  if (header === undefined) throw new Error(`${path} has no header`)
  return { header, entries, bytes }
}
