import type { Digest } from '../../../src/oci/digest.ts'
import type { TestImage, TestIndex } from '../../support/images.ts'
import type { TestMirror } from '../../support/test-mirror.ts'

const ACCEPT = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'

/** Pulls as clients do: the manifest by tag, then every blob that it names. */
export async function pull(
  mirror: TestMirror,
  name: string,
  tag: string,
  image: TestImage,
): Promise<void> {
  await get(mirror, `/v2/${name}/manifests/${tag}`)
  for (const { digest } of [image.config, ...image.layers]) {
    await get(mirror, `/v2/${name}/blobs/${digest}`)
  }
  await mirror.settle()
}

/** Of an index only the one image, as a client on one platform does. */
export async function pullIndex(
  mirror: TestMirror,
  name: string,
  tag: string,
  index: TestIndex,
  image: TestImage,
): Promise<void> {
  await get(mirror, `/v2/${name}/manifests/${tag}`)
  await pull(mirror, name, image.manifest.digest, image)
  await get(mirror, `/v2/${name}/manifests/${index.manifest.digest}`)
}

/** The digest of the answer. */
export async function get(mirror: TestMirror, path: string): Promise<Digest | undefined> {
  const response = await mirror.fetch(path, { headers: { accept: ACCEPT } })
  await response.arrayBuffer()
  if (response.status !== 200) throw new Error(`${path}: ${response.status}`)
  return (response.headers.get('docker-content-digest') ?? undefined) as Digest | undefined
}
