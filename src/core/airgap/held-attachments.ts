import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import { attachmentTags } from '../../oci/signature-tags.ts'
import type { Catalog } from '../ports.ts'

/** More than any image has; signatures of signatures included. */
const MAX_ATTACHMENTS = 2_000

/** A signature, an SBOM or an attestation that is here. */
export interface HeldAttachment {
  readonly subject: Digest
  readonly manifest: Descriptor
  readonly artifactType?: string
  /** Where it is found by a tag of the subject's digest, and not only as a referrer. */
  readonly tag?: Tag
  readonly checkedAt?: number
}

/** What is attached to these manifests, and to that in turn, by either way of attaching. */
export async function heldAttachments(
  repository: Repository,
  subjects: readonly Digest[],
  catalog: Pick<Catalog, 'heldReferrers' | 'resolve'>,
): Promise<readonly HeldAttachment[]> {
  const found: HeldAttachment[] = []
  const queue = [...subjects]
  const seen = new Set<Digest>(queue)
  for (let subject = queue.shift(); subject !== undefined; subject = queue.shift()) {
    const own = await attachedTo(repository, subject, catalog)
    for (const attachment of own) {
      if (found.length >= MAX_ATTACHMENTS) return found
      found.push(attachment)
      const { digest } = attachment.manifest
      if (!seen.has(digest)) queue.push(digest)
      seen.add(digest)
    }
  }
  return found
}

async function attachedTo(
  repository: Repository,
  subject: Digest,
  catalog: Pick<Catalog, 'heldReferrers' | 'resolve'>,
): Promise<readonly HeldAttachment[]> {
  const referrers = await catalog.heldReferrers(repository, subject)
  const attached: HeldAttachment[] = referrers.map((referrer) => {
    const { digest, mediaType, size, artifactType } = referrer
    const manifest = { digest, mediaType, size }
    return { subject, manifest, ...(artifactType !== undefined && { artifactType }) }
  })
  for (const tag of attachmentTags(subject)) {
    const row = await catalog.resolve(repository, tag)
    if (row === undefined) continue
    attached.push({ subject, manifest: row.manifest, tag, checkedAt: row.checkedAt })
  }
  return attached
}
