import type { Digest } from '../oci/digest.ts'
import { readIndexEntries } from '../oci/index-entries.ts'
import { isIndexType } from '../oci/media-types.ts'
import type { Platform } from '../oci/platform.ts'
import { formatPlatform, parsePlatform } from '../oci/platform.ts'
import type { Repository, Tag } from '../oci/reference.ts'
import { formatContent, formatRepository } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { subjectOfTag } from '../oci/signature-tags.ts'
import type { Manifests } from './manifests.ts'
import type { Catalog, Holding } from './ports.ts'

export interface MissDeps {
  readonly catalog: Pick<Catalog, 'heldTags' | 'manifest' | 'parents'>
  readonly manifests: Pick<Manifests, 'held'>
}

/** What a message can hold, and a person reads. */
const MAX_NAMED = 10
/** Tags that are looked through for those worth naming. */
const MAX_LOOKED = 1_000
/** Entries of an index that are looked up for their platforms: more than any image is made for. */
const MAX_ENTRIES = 200
const REMEDY = '(import a bundle, or warm it online)'

/** Names the tags that are here instead. */
export async function missingTag(
  repository: Repository,
  tag: Tag,
  { catalog }: MissDeps,
): Promise<RegistryError> {
  const tags = await catalog.heldTags(repository, '', MAX_LOOKED)
  if (tags === undefined) return missingRepository(repository)
  const name = `${formatRepository(repository)}:${tag}`
  if (tags.includes(tag)) {
    const why = 'is here, but its manifest cannot be read: see the log, and run `oci-mirror verify`'
    return new RegistryError('MANIFEST_UNKNOWN', `${name} ${why}`)
  }
  const miss = `${name} is not in this offline mirror`
  return new RegistryError('MANIFEST_UNKNOWN', `${miss}; it has ${nameTags(tags, tag)} ${REMEDY}`)
}

/** Says it if the manifest belongs to an index that is here: then it is a platform that was left out. */
export async function missingManifest(
  repository: Repository,
  digest: Digest,
  deps: MissDeps,
): Promise<RegistryError> {
  if ((await deps.catalog.heldTags(repository, '', 1)) === undefined) {
    return missingRepository(repository)
  }
  const miss = `${formatContent(repository, digest)} is not in this offline mirror`
  const place = await findInIndex(repository, digest, deps)
  const why = place === undefined ? '' : `: ${place}`
  return new RegistryError('MANIFEST_UNKNOWN', `${miss}${why} ${REMEDY}`)
}

/** Says the same whether it is nowhere or elsewhere: what other repositories have is nobody's business. */
export function missingBlob(
  repository: Repository,
  digest: Digest,
  { statedSize }: Holding,
): RegistryError {
  const miss = `${formatContent(repository, digest)} is not in this offline mirror`
  const why = statedSize === undefined ? '' : ', although a manifest that names it is'
  return new RegistryError('BLOB_UNKNOWN', `${miss}${why} ${REMEDY}`)
}

export function missingRepository(repository: Repository): RegistryError {
  const name = formatRepository(repository)
  return new RegistryError('NAME_UNKNOWN', `nothing of ${name} is in this offline mirror ${REMEDY}`)
}

/** Those next to where the missing one would be: `1.27, 1.28` for a 1.29. */
function nameTags(tags: readonly Tag[], missing: Tag): string {
  // Signatures would crowd out what anybody may mean.
  const images = tags.filter((tag) => subjectOfTag(tag) === undefined)
  if (images.length === 0) return 'no tags'
  const place = images.findIndex((tag) => tag > missing)
  const middle = (place < 0 ? images.length : place) - MAX_NAMED / 2
  const first = Math.max(0, Math.min(middle, images.length - MAX_NAMED))
  const named = images.slice(first, first + MAX_NAMED)
  const others = images.length - named.length
  const count = tags.length < MAX_LOOKED ? String(others) : 'many'
  return `${named.join(', ')}${others === 0 ? '' : ` and ${count} more`}`
}

async function findInIndex(
  repository: Repository,
  digest: Digest,
  { catalog, manifests }: MissDeps,
): Promise<string | undefined> {
  for (const parent of await catalog.parents(repository, digest)) {
    const body = await manifests.held(repository, parent)
    if (body === undefined || !isIndexType(body.descriptor.mediaType)) continue
    const entries = readIndexEntries(body.bytes)
    const what = namePlatform(entries.find((entry) => entry.digest === digest)?.platform)
    const here = new Set<string>()
    for (const entry of entries.slice(0, MAX_ENTRIES)) {
      const name = namePlatform(entry.platform)
      if (name === undefined || here.has(name)) continue
      if ((await catalog.manifest(repository, entry.digest)) !== undefined) here.add(name)
      if (here.size === MAX_NAMED) break
    }
    const has = here.size === 0 ? 'no platform' : [...here].join(', ')
    return `its index ${parent} is, with ${has}, but without ${what ?? 'this part of it'}`
  }
  return undefined
}

/** As an index gives it, which anybody may have written: what is no platform is not repeated. */
function namePlatform(platform: Platform | undefined): string | undefined {
  const name = platform && formatPlatform(platform)
  return name !== undefined && parsePlatform(name) !== undefined ? name : undefined
}
