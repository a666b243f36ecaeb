import { describe, expect, it } from 'vitest'
import { walkImage } from '../../../src/core/airgap/walk-image.ts'
import type { Descriptor } from '../../../src/oci/descriptor.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-types.ts'
import type { Platform } from '../../../src/oci/platform.ts'
import { described, descriptor } from '../../support/artifacts.ts'
import type { TestBlob } from '../../support/images.ts'
import { buildImage } from '../../support/images.ts'

const AMD64: Platform = { os: 'linux', architecture: 'amd64' }
const ARM64: Platform = { os: 'linux', architecture: 'arm64' }
const amd64 = buildImage({ seed: 'walk', platform: AMD64 })
const arm64 = buildImage({ seed: 'walk', platform: ARM64 })

function entry({ manifest }: { readonly manifest: TestBlob }, platform: Platform): object {
  return { ...descriptor(manifest), platform }
}

/** What BuildKit puts beside an image. */
function provenance(about: TestBlob) {
  const image = buildImage({ seed: `provenance of ${about.digest}`, layers: 1 })
  const annotations = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': about.digest,
  }
  const platform = { os: 'unknown', architecture: 'unknown' }
  return { ...image, entry: { ...descriptor(image.manifest), platform, annotations } }
}

function indexOf(...manifests: readonly object[]): TestBlob {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })
  return described(OCI_INDEX, Buffer.from(body))
}

function reader(...blobs: readonly TestBlob[]) {
  const held = new Map<Digest, Uint8Array>(blobs.map(({ digest, bytes }) => [digest, bytes]))
  return async ({ digest }: Descriptor) => held.get(digest)
}

function digests(parts: readonly Descriptor[]): readonly Digest[] {
  return parts.map(({ digest }) => digest)
}

describe('walkImage', () => {
  const amd64Note = provenance(amd64.manifest)
  const arm64Note = provenance(arm64.manifest)
  const index = indexOf(entry(amd64, AMD64), entry(arm64, ARM64), amd64Note.entry, arm64Note.entry)
  const read = reader(
    index,
    ...[amd64, arm64, amd64Note, arm64Note].map(({ manifest }) => manifest),
  )

  it('takes the wanted platform, with the provenance that is about it', async () => {
    const { parts, unwanted, unread } = await walkImage(index, [ARM64], read)
    const taken = [arm64, arm64Note].flatMap(({ manifest, config, layers }) => [
      manifest,
      config,
      ...layers,
    ])
    expect(digests(parts)).toEqual([index.digest, ...digests(taken)])
    expect(digests(unwanted)).toEqual([amd64.manifest.digest, amd64Note.manifest.digest])
    expect(unread).toEqual([])
    expect(parts[1]).toMatchObject({ kind: 'manifest', platform: 'linux/arm64' })
  })

  it('takes everything of all platforms, each digest once', async () => {
    const { parts, unwanted } = await walkImage(index, 'all', read)
    expect(new Set(digests(parts)).size).toBe(parts.length)
    expect(digests(parts)).toContain(amd64Note.manifest.digest)
    expect(unwanted).toEqual([])
  })

  it('takes a manifest that is no index, whatever its platform', async () => {
    const { parts } = await walkImage(arm64.manifest, [AMD64], read)
    expect(digests(parts)).toEqual(digests([arm64.manifest, arm64.config, ...arm64.layers]))
  })

  it('says which manifests it could not read', async () => {
    const walk = await walkImage(index, [AMD64, ARM64], reader(index, amd64.manifest))
    const missing = [arm64, amd64Note, arm64Note].map(({ manifest }) => manifest.digest)
    expect(digests(walk.unread)).toEqual(missing)
  })

  it('leaves out layers that registries do not have', async () => {
    const foreign = {
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      digest: `sha256:${'f'.repeat(64)}`,
      size: 5,
    }
    const body = { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [foreign] }
    const config = descriptor(amd64.config)
    const windows = described(OCI_MANIFEST, Buffer.from(JSON.stringify({ ...body, config })))
    const { parts } = await walkImage(windows, 'all', reader(windows))
    expect(digests(parts)).toEqual([windows.digest, amd64.config.digest])
  })
})
