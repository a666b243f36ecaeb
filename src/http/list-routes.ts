import { ANONYMOUS } from '../core/access-policy.ts'
import type { Mirror } from '../core/mirror.ts'
import type { Answer } from '../core/outcome.ts'
import type { ListPage } from '../core/lists.ts'
import { OCI_INDEX } from '../oci/media-types.ts'
import { formatReferrers } from '../oci/referrers.ts'
import type { Address } from './address.ts'
import type { HeaderFields } from './answer-headers.ts'
import { answerHeaders, commonHeaders } from './answer-headers.ts'
import type { Exchange } from './exchange.ts'
import { respond } from './respond.ts'

type AddressOf<Kind extends Address['kind']> = Extract<Address, { readonly kind: Kind }>

/** GET and HEAD `<name>/tags/list`. */
export async function answerTags(
  mirror: Mirror,
  exchange: Exchange,
  { repository, page, route, written }: AddressOf<'tags'>,
): Promise<void> {
  const answer = await mirror.tags({ repository, page }, ANONYMOUS, exchange.signal)
  noteOutcome(exchange, answer)
  const path = `${route.path}${repository.name}/tags/list`
  const headers = {
    ...answerHeaders(repository.upstream, answer),
    ...linkHeader(path, route.query, page, answer.next),
    'content-type': 'application/json',
  }
  respondList(exchange, JSON.stringify({ name: written, tags: answer.tags }), headers)
}

/** GET and HEAD `<name>/referrers/<digest>`. */
export async function answerReferrers(
  mirror: Mirror,
  exchange: Exchange,
  { repository, digest, artifactType }: AddressOf<'referrers'>,
): Promise<void> {
  const request = { repository, subject: digest, artifactType }
  const answer = await mirror.referrers(request, ANONYMOUS, exchange.signal)
  noteOutcome(exchange, answer)
  const headers: HeaderFields = {
    ...answerHeaders(repository.upstream, answer),
    'content-type': OCI_INDEX,
  }
  if (artifactType !== undefined) headers['oci-filters-applied'] = 'artifactType'
  respondList(exchange, formatReferrers(answer.referrers), headers)
}

/** GET and HEAD `/v2/_catalog`. */
export async function answerCatalog(
  mirror: Mirror,
  exchange: Exchange,
  { upstream, page, route }: AddressOf<'catalog'>,
): Promise<void> {
  exchange.subject.route = 'catalog'
  if (upstream !== undefined) exchange.subject.upstream = upstream
  exchange.varies = route.varies
  const { names, next } = await mirror.repositories(upstream, page, ANONYMOUS)
  const headers = {
    ...linkHeader(`${route.path}_catalog`, route.query, page, next),
    'content-type': 'application/json',
  }
  respondList(exchange, JSON.stringify({ repositories: names }), headers)
}

function noteOutcome({ subject }: Exchange, { outcome, detail }: Answer): void {
  subject.outcome = outcome
  if (detail !== undefined) subject.detail = detail
}

/** Relative, and addressed as this request was, so that the next page comes to us again. */
function linkHeader(
  path: string,
  selector: string,
  { limit }: ListPage,
  next: string | undefined,
): HeaderFields {
  if (next === undefined) return {}
  const query = [
    ...(limit === undefined ? [] : [`n=${limit}`]),
    `last=${encodeURIComponent(next)}`,
    ...(selector === '' ? [] : [selector]),
  ].join('&')
  return { link: `<${path}?${query}>; rel="next"` }
}

function respondList(exchange: Exchange, body: string, headers: HeaderFields): void {
  const length = String(Buffer.byteLength(body))
  const all = { ...commonHeaders(exchange), ...headers, 'content-length': length }
  respond(exchange, 200, all, body)
}
