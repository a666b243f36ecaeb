import type { Repository } from '../../oci/reference.ts'
import { formatRepository } from '../../oci/reference.ts'
import { formatImage, nameHeld } from './image-name.ts'
import type { HeldImage, HeldRepository, Inventory, TagChange } from './inventory.ts'
import type { ListQuery } from './maintenance-api.ts'
import type { ListedBlob, ListedChange, ListedImage, ListedRepository, Page } from './reports.ts'

/** Small, because the requests of clients wait while SQLite makes one. */
const IMAGES = 100
/** Each is a count of all its blobs. */
const REPOSITORIES = 25
const BLOBS = 1_000

/** A glob without a tag means every tag, and one without a star at its ends anything that holds it. */
export async function listImages(
  { glob = '*', after = '' }: ListQuery,
  inventory: Inventory,
): Promise<Page<ListedImage>> {
  const found = await inventory.images(widen(glob), after, IMAGES)
  return pageOf(found.map(toListedImage), IMAGES, ({ image }) => image)
}

export async function listRepositories(
  { glob = '*', after = '' }: ListQuery,
  inventory: Inventory,
): Promise<Page<ListedRepository>> {
  const found = await inventory.repositories(widen(glob), after, REPOSITORIES)
  return pageOf(found.map(toListedRepository), REPOSITORIES, ({ repository }) => repository)
}

export async function listBlobs(
  { after = '' }: ListQuery,
  inventory: Inventory,
): Promise<Page<ListedBlob>> {
  const found = await inventory.blobs(after, BLOBS)
  return pageOf(found, BLOBS, ({ digest }) => digest)
}

export function toListedChange(repository: Repository, change: TagChange): ListedChange {
  const { tag, digest = null, at } = change
  return { image: formatImage({ repository, tag }), digest, at }
}

/** For looking only: `ls alpine` is meant to find `docker.io/library/alpine:3`. */
function widen(glob: string): string {
  return /[*?[]/.test(glob) ? glob : `*${glob}*`
}

function toListedImage(held: HeldImage): ListedImage {
  const { manifest, checkedAt, isPinned, isHeld, closure } = held
  const { digest, mediaType } = manifest
  return {
    image: nameHeld(held),
    digest,
    mediaType,
    ...(checkedAt !== undefined && { checkedAt }),
    pinned: isPinned,
    held: isHeld,
    ...closure,
  }
}

function toListedRepository({ repository, ...rest }: HeldRepository): ListedRepository {
  return { repository: formatRepository(repository), ...rest }
}

function pageOf<T>(items: readonly T[], limit: number, keyOf: (item: T) => string): Page<T> {
  const last = items.at(-1)
  return { items, ...(items.length === limit && last !== undefined && { next: keyOf(last) }) }
}
