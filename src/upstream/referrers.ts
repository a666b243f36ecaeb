import type { Digest } from '../oci/digest.ts'
import { ManifestMismatch, readManifest } from '../oci/manifest.ts'
import { OCI_INDEX } from '../oci/media-types.ts'
import type { RepositoryName } from '../oci/reference.ts'
import type { Referrer } from '../oci/referrers.ts'
import { parseReferrers } from '../oci/referrers.ts'
import { nextPageQuery } from './link-header.ts'
import { isRedirect } from './redirect-rule.ts'
import type { RegistryClient, RegistryRequest } from './registry-client.ts'
import type { Reply } from './reply.ts'
import { retried } from './retry.ts'
import { hasErrorBody, misbehaved, refusal } from './unexpected-answer.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'

/** Of all pages together: what containerd reads of one answer. */
const MAX_BYTES = 4 * 1024 * 1024
const MAX_PAGES = 20
const READ_MS = 60_000

/** The registry has no such lists, or none of this digest. */
type NoList = 'unsupported' | undefined

interface Page {
  readonly referrers: readonly Referrer[]
  /** Bytes. */
  readonly size: number
  /** The query of the next page; `undefined` if this is the last one. */
  readonly next: string | undefined
}

/**
 * Every page, or a failure: a list that is cut short looks like one with fewer signatures. The filter is
 * not sent, because what comes is kept for all who ask.
 */
export async function listReferrers(
  client: RegistryClient,
  repository: RepositoryName,
  subject: Digest,
  signal: AbortSignal,
): Promise<readonly Referrer[] | NoList> {
  const path = `referrers/${subject}`
  const failed = (reason: string) =>
    new UpstreamFailure('misbehaved', `${repository}/${path}: ${reason}`)
  const referrers: Referrer[] = []
  const asked = new Set<string>()
  let size = 0
  for (let query: string | undefined = ''; query !== undefined;) {
    const request = requestFor(repository, path + query)
    const page: Page | NoList = await retried(client.clock, signal, () =>
      readPage(client, request, signal),
    )
    asked.add(query)
    if (typeof page !== 'object') {
      if (asked.size === 1) return page
      throw failed(`page ${asked.size} of the referrers is missing`)
    }
    referrers.push(...page.referrers)
    size += page.size
    query = page.next
    if (size > MAX_BYTES) throw failed(`there are more than ${MAX_BYTES} bytes of referrers`)
    if (query === undefined) break
    if (asked.has(query)) throw failed('the pages of the referrers go round in a circle')
    if (asked.size === MAX_PAGES)
      throw failed(`there are more than ${MAX_PAGES} pages of referrers`)
  }
  return referrers
}

function requestFor(repository: RepositoryName, path: string): RegistryRequest {
  // ghcr.io sends those who ask to a web page elsewhere: there is nothing to be had from it.
  const headers = { accept: OCI_INDEX }
  return { kind: 'list', method: 'GET', repository, path, headers, staysHome: true }
}

async function readPage(
  client: RegistryClient,
  request: RegistryRequest,
  signal: AbortSignal,
): Promise<Page | NoList> {
  const answer = await client.ask(request, signal)
  const { reply } = answer
  if (reply.status === 404) return (await hasErrorBody(reply)) ? undefined : 'unsupported'
  if (reply.status === 405 || isRedirect(reply.status)) {
    await reply.discard()
    return 'unsupported'
  }
  if (reply.status !== 200) throw await refusal(answer, client.clock.now())
  const bytes = await reply.read(MAX_BYTES, READ_MS)
  if (bytes === undefined) throw misbehaved(reply, `sent more than ${MAX_BYTES} bytes of referrers`)
  if (!isIndex(reply, bytes)) return 'unsupported'
  const next = nextPageQuery(reply.lines('link'))
  return {
    referrers: parseReferrers(bytes),
    size: bytes.length,
    next: next === undefined ? undefined : `?${new URLSearchParams(next).toString()}`,
  }
}

/** What is no index by its header is another service's answer; what only claims to be one is broken. */
function isIndex(reply: Reply, bytes: Uint8Array): boolean {
  try {
    return readManifest(bytes, reply.header('content-type') ?? '').mediaType === OCI_INDEX
  } catch (cause) {
    if (!(cause instanceof ManifestMismatch)) throw cause
    if (reply.mediaType !== OCI_INDEX) return false
    throw misbehaved(reply, `sent a list of referrers that is none: ${cause.message}`, cause)
  }
}
