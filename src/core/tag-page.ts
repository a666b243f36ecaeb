import type { Tag } from '../oci/reference.ts'
import type { ListPage, TagPage } from './lists.ts'

/** What upstream gave, in its order, or all tags in that of ASCII. */
export interface TagList extends TagPage {
  /** Everything, whatever was asked for: each page can be cut from it. */
  readonly isWhole: boolean
}

/**
 * Tells from an answer whether the registry looked at `n` and `last`: docker-registry 2.8 gives all tags
 * whatever they say, in the order of its file system. Only then every page can be cut from the answer:
 * the pages of others are in an order of their own, which may not be that of ASCII.
 */
export function toTagList(answer: TagPage, { limit, last }: ListPage): TagList {
  const isLong = limit !== undefined && answer.tags.length > limit
  // A registry that looks at `last` alone gives a long rest, which is not the whole.
  const isTooMuch =
    last === undefined
      ? isLong
      : answer.tags.some((tag) => tag === last || (isLong && precedes(tag, last)))
  const isWhole = answer.next === undefined && isTooMuch
  return isWhole
    ? { tags: answer.tags.toSorted(), next: undefined, isWhole }
    : { ...answer, isWhole }
}

/** In whichever order the registry has: that of ASCII, or one that does not look at the case of letters. */
function precedes(tag: Tag, last: string): boolean {
  return tag < last && tag.toLowerCase() < last.toLowerCase()
}

/** The page that a client asked for. distribution-spec "Listing Tags": no `next` for `n=0`. */
export function cutPage(list: TagList, { limit, last }: ListPage): TagPage {
  const isBehind = (tag: Tag) => last === undefined || tag > last
  const rest = list.isWhole ? list.tags.filter(isBehind) : list.tags
  if (limit === undefined || rest.length <= limit) {
    return { tags: rest, next: limit === 0 ? undefined : list.next }
  }
  const tags = rest.slice(0, limit)
  return { tags, next: tags.at(-1) }
}
