import type { Catalog } from './ports.ts'
import { missingRepository } from './offline-misses.ts'
import type { TagListAnswer } from './outcome.ts'
import type { TagListRequest } from './tag-lists.ts'

/** Of a page, whatever a client asks for: what is left comes with the next one. */
const MAX_PAGE = 1_000

/** The tags that are here, for where nobody can be asked. Throws RegistryError NAME_UNKNOWN. */
export async function listHeldTags(
  { repository, page }: TagListRequest,
  catalog: Pick<Catalog, 'heldTags'>,
): Promise<TagListAnswer> {
  const limit = Math.min(page.limit ?? MAX_PAGE, MAX_PAGE)
  const found = await catalog.heldTags(repository, page.last ?? '', limit + 1)
  if (found === undefined) throw missingRepository(repository)
  const tags = found.slice(0, limit)
  const next = found.length > limit ? tags.at(-1) : undefined
  return { outcome: 'hit', detail: 'offline', tags, next }
}
