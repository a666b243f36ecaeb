import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BundleBody, BundleHeader } from '../../../src/airgap/bundle/bundle-header.ts'
import { formatBundleHeader, identifyBundle } from '../../../src/airgap/bundle/bundle-header.ts'
import {
  blobEntry,
  HEADER_ENTRY,
  INDEX_ENTRY,
  LAYOUT_BODY,
  LAYOUT_ENTRY,
} from '../../../src/airgap/bundle/entry-name.ts'
import type { CarriedImage } from '../../../src/core/airgap/carried.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import type { TestBlob, TestImage, TestIndex } from '../../support/images.ts'
import type { TarFile } from '../../support/tar.ts'
import { tarOf } from '../../support/tar.ts'
import { descriptor } from '../../support/artifacts.ts'

export const CREATED = Date.UTC(2026, 10, 1)

/** An image under its name, whole, or the index with those of its images that are carried. */
export interface Carried {
  readonly image: string
  readonly content: TestImage | TestIndex
  readonly platforms?: CarriedImage['platforms']
  readonly without?: readonly Digest[]
  readonly checkedAt?: number
  readonly subject?: Digest
  readonly pinned?: true
}

export interface BuiltBundle {
  readonly header: BundleHeader
  readonly files: readonly TarFile[]
}

/** By the format, in code: manifests first, then what they name. */
export function buildBundle(
  carried: readonly Carried[],
  changes: Partial<BundleBody> = {},
): BuiltBundle {
  const blobs = new Map<Digest, TestBlob>()
  const requires = new Map<Digest, TestBlob>()
  for (const { content, without = [] } of carried) {
    for (const blob of blobsOf(content)) {
      if (without.includes(blob.digest)) requires.set(blob.digest, blob)
      else blobs.set(blob.digest, blob)
    }
  }
  const images = carried.map((one): CarriedImage => {
    const { image, content, platforms = 'all', checkedAt, subject, pinned } = one
    return {
      image,
      manifest: descriptor(content.manifest),
      platforms,
      ...(checkedAt !== undefined && { checkedAt }),
      ...(subject !== undefined && { subject }),
      ...(pinned !== undefined && { pinned }),
    }
  })
  const header = identifyBundle({
    version: 1,
    created: CREATED,
    tool: 'a test',
    images,
    blobs: [...blobs.values()].map(descriptor),
    requires: [...requires.values()].map(({ digest, size }) => ({ digest, size })),
    parents: [],
    ...changes,
  })
  const files = [...blobs.values()].map(({ digest, bytes }) => ({ path: blobEntry(digest), bytes }))
  return { header, files: [...firstFiles(header), ...files] }
}

function firstFiles(header: BundleHeader, part?: number): readonly TarFile[] {
  return [
    { path: LAYOUT_ENTRY, bytes: Buffer.from(LAYOUT_BODY) },
    { path: INDEX_ENTRY, bytes: Buffer.from('{"schemaVersion":2,"manifests":[]}') },
    { path: HEADER_ENTRY, bytes: formatBundleHeader(header, part) },
  ]
}

export async function writeBundle(
  dir: string,
  name: string,
  { files }: Pick<BuiltBundle, 'files'>,
): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, tarOf(files))
  return path
}

/** Manifests first. */
export function blobsOf(content: TestImage | TestIndex): readonly TestBlob[] {
  if (!('images' in content)) return [content.manifest, content.config, ...content.layers]
  const below = content.images.flatMap(blobsOf)
  const manifests = new Set(content.images.map(({ manifest }) => manifest))
  return [content.manifest, ...manifests, ...below.filter((blob) => !manifests.has(blob))]
}
