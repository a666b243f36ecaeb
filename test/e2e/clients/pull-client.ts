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
   * Pulls with nothing of its own cached, and all platforms: `architectures` is for those that take one
   * at a time. Answers the digests that it then has.
   */
  pull(image: ImageName, architectures: readonly string[]): Promise<ReadonlySet<string>>
  /** The digests that `pull` answers when everything has arrived. */
  readonly expected: (image: TestImage | TestIndex) => ReadonlySet<string>
}

export function formatImage({ registry, repository, reference }: ImageName): string {
  const suffix = 'tag' in reference ? `:${reference.tag}` : `@${reference.digest}`
  return `${registry}/${repository}${suffix}`
}

/** Index, manifests, configurations and layers: what a client has that keeps content as it came. */
export function allDigests(image: TestImage | TestIndex): ReadonlySet<string> {
  const own = image.manifest.digest
  if ('images' in image) {
    return new Set([own, ...image.images.flatMap((one) => [...allDigests(one)])])
  }
  return new Set([own, ...[image.config, ...image.layers].map((blob) => blob.digest)])
}

/** The layers alone: what a client has that writes files. */
export function layerDigests(image: TestImage | TestIndex): ReadonlySet<string> {
  const images = 'images' in image ? image.images : [image]
  return new Set(images.flatMap(({ layers }) => layers.map((layer) => layer.digest)))
}

/**
 * Configurations and unpacked layers: what a client has that unpacks layers while they arrive. That it
 * checked the layers' own digests follows from there being no other place where they come from.
 */
export function unpackedDigests(image: TestImage | TestIndex): ReadonlySet<string> {
  const images = 'images' in image ? image.images : [image]
  return new Set(images.flatMap(({ config }) => [config.digest, ...diffIds(config.bytes)]))
}

function diffIds(config: Uint8Array): readonly string[] {
  const parsed: unknown = JSON.parse(Buffer.from(config).toString())
  return (parsed as { rootfs: { diff_ids: readonly string[] } }).rootfs.diff_ids
}

/** The digests of a folder's files, computed from the files and not read from their names. */
export async function fileDigests(dir: string): Promise<ReadonlySet<string>> {
  const names = await readdir(dir)
  const digests = names.map(async (name) => digestOf(await readFile(join(dir, name))))
  return new Set(await Promise.all(digests))
}

/** The same of an OCI image layout. */
export function layoutDigests(dir: string): Promise<ReadonlySet<string>> {
  return fileDigests(join(dir, 'blobs/sha256'))
}

/** Writes a configuration file and answers its path. */
export async function writeConfig(dir: string, name: string, text: string): Promise<string> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}
