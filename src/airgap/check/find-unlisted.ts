import type { UnlistedReport } from '../../core/airgap/check-api.ts'
import type { Naming } from '../../core/maintenance/image-name.ts'
import { formatImage } from '../../core/maintenance/image-name.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Amount } from '../../core/maintenance/reports.ts'
import type { Catalog } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import { heldImages } from './held-images.ts'
import { HeldParts } from './held-parts.ts'
import { WantedList } from './wanted-list.ts'

interface Deps {
  readonly catalog: Pick<Catalog, 'resolve' | 'manifest' | 'heldReferrers'>
  readonly inventory: Inventory
  readonly naming: Naming
}

/** An image that is here, by a name that `rm` takes. */
interface Here {
  readonly image: string
  readonly repository: Repository
  readonly tag?: Tag
  readonly digest: Digest
  readonly kept?: 'pinned' | 'held'
}

/**
 * What is here and the list does not name. What belongs to a listed image stays with it, and so does what is
 * pinned or held. A list that cannot be what somebody meant is refused whole: it would remove everything.
 * Throws MaintenanceError.
 */
export async function findUnlisted(
  references: readonly string[],
  deps: Deps,
): Promise<UnlistedReport> {
  const list = WantedList.read(references, deps.naming)
  const kept = new HeldParts(deps)
  const spared: UnlistedReport['spared'][number][] = []
  const others: Here[] = []
  for await (const here of everything(deps.inventory)) {
    const reason = list.names(here) ? undefined : await reasonToStay(here, list, deps.inventory)
    if (reason === 'unlisted') {
      others.push(here)
      continue
    }
    if (reason !== undefined) spared.push({ image: here.image, reason })
    await kept.add(here)
  }
  const { absent, found } = list.outcome()
  if (found === 0) throw nothingListed(absent)
  const unlisted = others.filter(({ repository, tag }) => !kept.hasSubjectOf(repository, tag))
  const images = unlisted.map(({ image }) => image)
  return { images, spared, listed: found, absent, ...(await amounts(unlisted, kept, deps)) }
}

/** `unlisted`: there is none. */
async function reasonToStay(here: Here, list: WantedList, inventory: Inventory): Promise<string> {
  const part = await list.partOf(here, inventory)
  if (part !== undefined) return `the list names ${part}, which is a part of it`
  return here.kept === undefined ? 'unlisted' : `it is ${here.kept}`
}

async function* everything(inventory: Inventory): AsyncGenerator<Here> {
  for await (const { repository, tag, manifest, isPinned, isHeld } of heldImages(inventory)) {
    const { digest } = manifest
    const image = formatImage({ repository, ...(tag === undefined ? { digest } : { tag }) })
    const kept = isPinned ? 'pinned' : isHeld ? 'held' : undefined
    yield { image, repository, digest, ...(tag && { tag }), ...(kept && { kept }) }
  }
  for (const { repository, digest } of await inventory.untagged()) {
    yield { image: formatImage({ repository, digest }), repository, digest }
  }
}

function nothingListed(absent: readonly string[]): MaintenanceError {
  const [first = ''] = absent
  const what = absent.length === 1 ? first : `none of its ${absent.length} images (${first}, …)`
  const hint = "to remove everything, `rm --all '*'` is the way"
  const verb = absent.length === 1 ? 'is not here' : 'is here'
  return new MaintenanceError(
    'refused',
    `this list would keep nothing: ${what} ${verb}. See that it is the right one (\`check -f\` shows it); ${hint}`,
  )
}

/** Blobs that go and blobs that stay, of those that the images have. */
async function amounts(
  unlisted: readonly Here[],
  kept: HeldParts,
  deps: Deps,
): Promise<{ readonly freed: Amount; readonly kept: Amount }> {
  const going = new HeldParts(deps)
  for (const here of unlisted) await going.add(here)
  const freed = { blobs: 0, bytes: 0 }
  const shared = { blobs: 0, bytes: 0 }
  const stays = kept.digests()
  for (const digest of going.digests()) {
    const blob = await deps.inventory.blob(digest)
    if (blob === undefined) continue
    const amount = stays.has(digest) ? shared : freed
    amount.blobs += 1
    amount.bytes += blob.size
  }
  return { freed, kept: shared }
}
