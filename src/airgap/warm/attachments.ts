import type { ImagePart } from '../../core/airgap/walk-image.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import type { WarmSource } from '../../core/airgap/warm-source.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import { attachmentTags } from '../../oci/signature-tags.ts'
import { referrersTag } from '../../oci/referrers.ts'
import type { Fetching } from './fetching.ts'
import type { Patience } from './patience.ts'
import { WarmFailure } from './warm-failure.ts'

/** The signature of an SBOM of an image: nobody goes deeper. */
const MAX_DEPTH = 3
/** More than any image has. */
const MAX_ATTACHMENTS = 2_000

export interface Attachments {
  /** Signatures, SBOMs and attestations. */
  readonly manifests: readonly Descriptor[]
  /** Theirs, and themselves. */
  readonly parts: readonly ImagePart[]
}

interface Deps {
  readonly source: WarmSource
  readonly patience: Patience
  readonly fetching: Fetching
}

/**
 * What is attached to these manifests, and to that in turn, by either way of attaching; the manifests of it
 * are here when it resolves. Only a registry that says "no such thing" has none: everything else is a failure,
 * because a signature that could not be asked for must not look like one that there is not.
 */
export async function findAttachments(
  repository: Repository,
  subjects: readonly Digest[],
  deps: Deps,
): Promise<Attachments> {
  const manifests = new Map<Digest, Descriptor>()
  const parts: ImagePart[] = []
  const seen = new Set<Digest>(subjects)
  let level = [...seen]
  for (let depth = 0; depth < MAX_DEPTH && level.length > 0; depth += 1) {
    const next: Digest[] = []
    for (const subject of level) {
      for (const found of await attachedTo(repository, subject, deps)) {
        if (seen.has(found.digest)) continue
        seen.add(found.digest)
        const own = await partsOf(repository, found, deps)
        if (own.length === 0) continue
        manifests.set(found.digest, found)
        parts.push(...own)
        next.push(found.digest)
        if (manifests.size > MAX_ATTACHMENTS) throw tooMany(subject)
      }
    }
    level = next
  }
  return { manifests: [...manifests.values()], parts }
}

async function attachedTo(
  repository: Repository,
  subject: Digest,
  { source, patience, fetching }: Deps,
): Promise<readonly Descriptor[]> {
  // The tag that stands in for a list is asked for with the list.
  const tags = attachmentTags(subject).filter((tag) => tag !== referrersTag(subject))
  const found = await Promise.all([
    patience.ask(repository.upstream, () => source.referrers(repository, subject)),
    ...tags.map((tag) => fetchTagged(repository, tag, fetching)),
  ])
  return found.flat()
}

/** cosign's: none, or one. */
async function fetchTagged(
  repository: Repository,
  tag: Tag,
  fetching: Fetching,
): Promise<readonly Descriptor[]> {
  const descriptor = await fetching.head(repository, tag)
  if (descriptor === undefined) return []
  const found = await fetching.manifest(repository, descriptor.digest, tag)
  return found === undefined ? [] : [found.descriptor]
}

/** None of one that a list still names and the registry has deleted. */
async function partsOf(
  repository: Repository,
  found: Descriptor,
  { fetching }: Deps,
): Promise<readonly ImagePart[]> {
  const walk = await walkImage(
    found,
    'all',
    async ({ digest }) => (await fetching.manifest(repository, digest))?.bytes,
  )
  const isGone = walk.unread.some(({ digest }) => digest === found.digest)
  return isGone ? [] : walk.parts
}

function tooMany(subject: Digest): WarmFailure {
  return new WarmFailure(
    `more than ${MAX_ATTACHMENTS} signatures, SBOMs and attestations belong to it (${subject}): --no-referrers leaves them out`,
  )
}
