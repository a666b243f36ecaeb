import type { Tag } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'

/** Which part of a list is asked for (distribution-spec "Listing Tags"). */
export interface ListPage {
  /** At most this many entries; `undefined` leaves it to whoever answers. */
  readonly limit: number | undefined
  /** The entry after which to go on. Opaque: some registries put a cursor there, not a tag. */
  readonly last: string | undefined
}

export interface TagPage {
  /** In the registry's order. It may be more than was asked for: not every registry knows pages. */
  readonly tags: readonly Tag[]
  /** The `last` of the next page, if the registry says that there is one. */
  readonly next: string | undefined
}

/** Where a list of referrers stood: in the answer of the API, or under the tag that stands in for it. */
export type ListSource = 'api' | 'tag'

export interface ReferrerList {
  readonly referrers: readonly Referrer[]
  /** When upstream said so, ms since the epoch. */
  readonly checkedAt: number
  readonly source: ListSource
}
