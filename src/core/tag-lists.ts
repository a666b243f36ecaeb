import { LRUCache } from 'lru-cache'
import type { Repository } from '../oci/reference.ts'
import { formatRepository } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import { Coalescer } from './coalescer.ts'
import type { Wait } from './deadline.ts'
import { limitTime, waitFor } from './deadline.ts'
import type { ListPage, TagPage } from './lists.ts'
import type { TagListAnswer } from './outcome.ts'
import type { Clock } from './ports.ts'
import { steady } from './steady-clock.ts'
import type { TagList } from './tag-page.ts'
import { cutPage, toTagList } from './tag-page.ts'
import type { UpstreamEntry } from './upstream-entry.ts'

export interface TagListRequest {
  readonly repository: Repository
  readonly page: ListPage
}

/** What is given out was true a moment ago. Never longer: a list cannot be checked but by asking again. */
const REMEMBERED_MS = 5_000
const MEMORY_BYTES = 16 * 1024 * 1024
/** An estimate of what a tag costs besides its characters. */
const TAG_OVERHEAD = 40
const LIST_TIMEOUT_MS = 60_000
/** Registries refuse larger pages (distribution) or take long to make them. */
const MAX_PAGE = 1_000

/** `absent`: the registry has no such repository. */
type Known = TagList | 'absent'

/** Lists of tags, one page of upstream for each page of a client. Nothing of them is kept for an outage. */
export class TagLists {
  readonly #clock: Clock
  readonly #memory: LRUCache<string, Known>
  readonly #asking = new Coalescer<Known>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#memory = new LRUCache({
      maxSize: MEMORY_BYTES,
      sizeCalculation: (known, key) => 2 * key.length + sizeOf(known),
      ttl: REMEMBERED_MS,
      ttlResolution: 0,
      perf: steady(clock),
    })
  }

  /** Throws RegistryError NAME_UNKNOWN, and UpstreamFailure: a part of a list is never given for all of it. */
  async answer(
    { repository, page }: TagListRequest,
    entry: UpstreamEntry,
    wait: Wait,
  ): Promise<TagListAnswer> {
    const name = formatRepository(repository)
    const asked = { limit: upstreamLimit(page.limit), last: page.last }
    const key = `${name}?${asked.limit ?? ''}&${asked.last ?? ''}`
    const remembered = this.#memory.get(name) ?? this.#memory.get(key)
    if (remembered !== undefined) return { outcome: 'hit', ...toPage(remembered, page, name) }
    const what = `the tags of ${name}`
    const { result, first } = this.#asking.run(key, async () => {
      const found = await limitTime(LIST_TIMEOUT_MS, this.#clock, what, (signal) =>
        entry.client.listTags(repository.name, asked, signal),
      )
      const known = found === undefined ? 'absent' : toTagList(found, asked)
      this.#memory.set(known === 'absent' || known.isWhole ? name : key, known)
      return known
    })
    const known = await waitFor(result, wait, this.#clock, what)
    return { outcome: first ? 'miss' : 'joined', ...toPage(known, page, name) }
  }
}

/** A page of none still tells whether the repository exists, and some registries refuse `n=0`. */
function upstreamLimit(limit: number | undefined): number | undefined {
  return limit === undefined ? undefined : Math.min(Math.max(limit, 1), MAX_PAGE)
}

function toPage(known: Known, page: ListPage, name: string): TagPage {
  if (known !== 'absent') return cutPage(known, page)
  throw new RegistryError('NAME_UNKNOWN', `${name} does not exist: its registry says so`)
}

function sizeOf(known: Known): number {
  if (known === 'absent') return 1
  return known.tags.reduce((sum, tag) => sum + tag.length + TAG_OVERHEAD, TAG_OVERHEAD)
}
