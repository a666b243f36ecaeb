import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Digest } from '../../../src/oci/digest.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { TestImage, TestIndex } from '../../support/images.ts'

/** An image as its user writes it: `docker.io/library/x:v1`. */
export interface ImageName {
  readonly registry: string
  readonly repository: string
  readonly reference: { readonly tag: string } | { readonly digest: Digest }
}

/** A real client that is set up to pull through the mirror, in one way of addressing it. */
export interface PullClient {
  /**
   * Pulls with nothing of its own cached and all platforms. Answers the digests of everything that it
   * then has: index, manifests, configurations and layers.
   */
  pull(image: ImageName): Promise<ReadonlySet<string>>
}

export function formatImage({ registry, repository, reference }: ImageName): string {
  const suffix = 'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`
  return `${registry}/${repository}${suffix}`
}

/** Everything that has to arrive. */
export function digestsOf(image: TestImage | TestIndex): ReadonlySet<string> {
  const own = image.manifest.digest
  if ('images' in image)
    return new Set([own, ...image.images.flatMap((one) => [...digestsOf(one)])])
  return new Set([own, ...[image.config, ...image.layers].map((blob) => blob.digest)])
}

/** The digests in an OCI image layout, computed from the files and not read from their names. */
export async function layoutDigests(dir: string): Promise<ReadonlySet<string>> {
  const folder = join(dir, 'blobs/sha256')
  const names = await readdir(folder)
  const digests = names.map(async (name) => digestOf(await readFile(join(folder, name))))
  return new Set(await Promise.all(digests))
}

/** Writes a configuration file and answers its path. */
export async function writeConfig(dir: string, name: string, text: string): Promise<string> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}
