import type { ListPage } from '../core/lists.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { Query } from './query.ts'
import { quoteInput } from './quote-input.ts'

/** More than any registry gives in one page; a client's number never sizes anything of ours. */
const MAX_LIMIT = 10_000
const MAX_CURSOR_LENGTH = 2048
/** RFC 6838 §4.2: 127 characters on each side of the slash. */
const MAX_MEDIA_TYPE_LENGTH = 255
const VISIBLE = /^[!-~]+$/

/** The part of a list that is asked for, 0 to 10,000 entries. Throws RegistryError UNSUPPORTED (400). */
export function parsePage(query: Query): ListPage {
  const text = query.get('n')
  return { limit: text === undefined ? undefined : parseLimit(text), last: parseLast(query) }
}

/** The filter of "Listing referrers". Throws RegistryError UNSUPPORTED (400). */
export function parseArtifactType(query: Query): string | undefined {
  const text = query.get('artifactType')
  if (text === undefined || text === '') return undefined
  if (text.length <= MAX_MEDIA_TYPE_LENGTH && VISIBLE.test(text)) return text
  throw refused(`artifactType=${quoteInput(text)} is not a media type`)
}

function parseLimit(text: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Math.min(Number(text), MAX_LIMIT)
  throw refused(`n=${quoteInput(text)} is not a whole number of entries`)
}

function parseLast(query: Query): string | undefined {
  const text = query.get('last')
  if (text === undefined || text === '') return undefined
  if (text.length <= MAX_CURSOR_LENGTH && VISIBLE.test(text)) return text
  throw refused(`last=${quoteInput(text)} is not an entry of a list`)
}

function refused(detail: string): RegistryError {
  return new RegistryError('UNSUPPORTED', detail, { status: 400 })
}
