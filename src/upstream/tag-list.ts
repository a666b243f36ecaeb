import type { ListPage, TagPage } from '../core/lists.ts'
import { asArray, isObject, parseJson } from '../oci/json.ts'
import type { RepositoryName, Tag } from '../oci/reference.ts'
import { parseTag } from '../oci/reference.ts'
import { nextPageQuery } from './link-header.ts'
import type { RegistryClient } from './registry-client.ts'
import type { Reply } from './reply.ts'
import { retried } from './retry.ts'
import { confirmGone, misbehaved, refusal } from './unexpected-answer.ts'

/** Room for some forty thousand tags of a hundred characters. */
const MAX_BYTES = 4 * 1024 * 1024
const READ_MS = 60_000
/** What clients may send back to us as `last`. */
const CURSOR = /^[!-~]{1,2048}$/

export function listTags(
  client: RegistryClient,
  repository: RepositoryName,
  page: ListPage,
  signal: AbortSignal,
): Promise<TagPage | undefined> {
  return retried(client.clock, signal, () => listOnce(client, repository, page, signal))
}

async function listOnce(
  client: RegistryClient,
  repository: RepositoryName,
  page: ListPage,
  signal: AbortSignal,
): Promise<TagPage | undefined> {
  const path = `tags/list${queryOf(page)}`
  const headers = { accept: 'application/json' }
  const answer = await client.ask(
    { kind: 'list', method: 'GET', repository, path, headers },
    signal,
  )
  const { reply } = answer
  if (reply.status === 404) return confirmGone(answer)
  if (reply.status !== 200) throw await refusal(answer, client.clock.now())
  const bytes = await reply.read(MAX_BYTES, READ_MS)
  if (bytes === undefined) throw misbehaved(reply, `sent more than ${MAX_BYTES} bytes of tags`)
  const tags = readTags(reply, bytes)
  return { tags, next: nextCursor(reply, tags, page) }
}

function queryOf({ limit, last }: ListPage): string {
  const query = new URLSearchParams()
  if (limit !== undefined) query.set('n', String(limit))
  if (last !== undefined) query.set('last', last)
  return query.size === 0 ? '' : `?${query.toString()}`
}

/** A tag that clients could not ask for is left out. */
function readTags(reply: Reply, bytes: Uint8Array): readonly Tag[] {
  const body = readJson(reply, bytes)
  // Docker's registry says null for a repository whose tags are all deleted.
  if (!isObject(body) || (body['tags'] !== null && !Array.isArray(body['tags']))) {
    throw misbehaved(reply, 'sent a list of tags that is none')
  }
  return asArray(body['tags']).flatMap((text) => {
    const tag = typeof text === 'string' ? parseTag(text) : undefined
    return tag === undefined ? [] : [tag]
  })
}

function readJson(reply: Reply, bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes)
  } catch (cause) {
    throw misbehaved(reply, 'sent a list of tags that is not JSON', cause)
  }
}

/** By the specification it is the last tag of this page; some registries put a cursor of their own there. */
function nextCursor(reply: Reply, tags: readonly Tag[], { last }: ListPage): string | undefined {
  const query = nextPageQuery(reply.lines('link'))
  if (query === undefined) return undefined
  const next = statedCursor(reply, query) ?? tags.at(-1)
  if (next !== undefined && next === last) {
    throw misbehaved(reply, 'says that the next page of tags is this one')
  }
  return next
}

/** In place of one that clients could not send back nothing is guessed: tags would be missing. */
function statedCursor(reply: Reply, query: string): string | undefined {
  const [, text = ''] = /(?:^|&)last=([^&]*)/.exec(query) ?? []
  if (text === '') return undefined
  const cursor = decode(text)
  if (cursor !== undefined && CURSOR.test(cursor)) return cursor
  throw misbehaved(reply, 'links to the next page of tags by a cursor that cannot be sent back')
}

/** Leaves every `+` as it is: registries put base64 there. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    // Not an escape, or not UTF-8: no more of a cursor than any other that is not ASCII.
    return undefined
  }
}
