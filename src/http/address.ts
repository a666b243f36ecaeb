import type { ListPage } from '../core/lists.ts'
import type { Digest } from '../oci/digest.ts'
import { parseDigest } from '../oci/digest.ts'
import type { Reference, Repository, UpstreamName } from '../oci/reference.ts'
import { parseReference } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { AddressBook } from './address-book.ts'
import type { Endpoint } from './endpoint.ts'
import { parseEndpoint } from './endpoint.ts'
import { parseArtifactType, parsePage } from './page.ts'
import type { Query } from './query.ts'
import { parseQuery } from './query.ts'
import { quoteInput } from './quote-input.ts'
import { parseRawTarget } from './raw-target.ts'
import type { Place, Route } from './repository-path.ts'
import { refuseDoubledV2, resolveRepository, rootRoute } from './repository-path.ts'
import { parseRequestHost } from './request-host.ts'
import type { RequestTarget } from './request-target.ts'
import { selectUpstream } from './selectors.ts'

/** What a request asks for, whichever of the seven ways of naming an upstream it used. */
export type Address =
  | { readonly kind: 'ping'; readonly upstream: UpstreamName | undefined }
  | CatalogAddress
  | (Named & { readonly kind: 'manifest'; readonly reference: Reference })
  | (Named & { readonly kind: 'blob'; readonly digest: Digest })
  | (Named & { readonly kind: 'tags'; readonly page: ListPage })
  | (Named & {
      readonly kind: 'referrers'
      readonly digest: Digest
      readonly artifactType: string | undefined
    })
  | (Named & { readonly kind: 'upload' })

interface CatalogAddress {
  readonly kind: 'catalog'
  /** The one that the request selects: what it lists has to be had by the same selection. */
  readonly upstream: UpstreamName | undefined
  readonly page: ListPage
  readonly route: Omit<Route, 'row'>
}

/** What every request for content has. */
export interface Named {
  readonly repository: Repository
  readonly route: Route
  /** The repository as the client wrote it, with the registry if that stood in front: `quay.io/org/x`. */
  readonly written: string
}

/**
 * Reads a request's address. Pure: it looks names up in the book, and nothing that a client wrote
 * becomes anything but a key or a checked name.
 *
 * Throws RegistryError: 400 for what no client of ours sends, 404 for an upstream or endpoint that we
 * do not have.
 */
export function parseAddress(request: RequestTarget, book: AddressBook): Address {
  const { segments, query: queryText } = parseRawTarget(request.target)
  const host = parseRequestHost(request.host)
  const place = locate(segments, book)
  if (place === undefined) {
    const detail = `${quoteInput(request.target)} is not below ${book.basePath}/v2/`
    throw new RegistryError('UNSUPPORTED', detail, { status: 404 })
  }
  const query = parseQuery(queryText)
  const selection = selectUpstream({ request, query, host, prefix: place.prefix }, book)
  refuseDoubledV2(place.rest, selection, book)
  const endpoint = parseEndpoint(place.rest)
  if (endpoint.kind === 'ping') return { kind: 'ping', upstream: selection?.upstream }
  if (endpoint.kind === 'catalog') {
    const route = rootRoute({ place, query, selection }, book)
    return { kind: 'catalog', upstream: selection?.upstream, page: parsePage(query), route }
  }
  const resolved = resolveRepository(endpoint.name, { place, query, host, selection }, book)
  const named = { ...resolved, written: endpoint.name.join('/') }
  return toAddress(endpoint, named, query)
}

/**
 * Whether `parseAddress` has to answer: for everything below `/v2`, and for every target that is
 * malformed, so that no other router ever gets to normalise one.
 */
export function isRegistryTarget(target: string, book: AddressBook): boolean {
  try {
    return locate(parseRawTarget(target).segments, book) !== undefined
  } catch (refusal) {
    if (refusal instanceof RegistryError) return true // parseAddress says the same to the client
    throw refusal
  }
}

/** `<base>/v2/<rest>` or `<base>/<prefix>/v2/<rest>`. */
function locate(segments: readonly string[], book: AddressBook): Place | undefined {
  const base = book.basePath.split('/').slice(1)
  if (base.some((segment, index) => segment !== segments[index])) return undefined
  const [first, second, ...others] = segments.slice(base.length)
  if (first === 'v2') {
    return { prefix: undefined, rest: second === undefined ? [] : [second, ...others] }
  }
  return second === 'v2' ? { prefix: first, rest: others } : undefined
}

function toAddress(
  endpoint: Exclude<Endpoint, { readonly kind: 'ping' } | { readonly kind: 'catalog' }>,
  named: Named,
  query: Query,
): Address {
  switch (endpoint.kind) {
    case 'manifests':
      return { kind: 'manifest', reference: requireReference(endpoint.reference), ...named }
    case 'blobs':
      return { kind: 'blob', digest: requireDigest(endpoint.reference), ...named }
    case 'referrers': {
      const digest = requireDigest(endpoint.reference)
      return { kind: 'referrers', digest, artifactType: parseArtifactType(query), ...named }
    }
    case 'tags':
      return { kind: 'tags', page: parsePage(query), ...named }
    case 'upload':
      return { kind: 'upload', ...named }
  }
}

function requireReference(text: string): Reference {
  if (text.includes(':')) return { kind: 'digest', digest: requireDigest(text) }
  const reference = parseReference(text)
  if (reference !== undefined) return reference
  const rule = 'up to 128 letters, digits, ".", "_" and "-", not starting with "." or "-"'
  throw new RegistryError('MANIFEST_INVALID', `${quoteInput(text)} is not a tag: a tag has ${rule}`)
}

function requireDigest(text: string): Digest {
  const digest = parseDigest(text)
  if (digest !== undefined) return digest
  const rule = 'sha256:<64 lower-case hex> or sha512:<128 lower-case hex>'
  throw new RegistryError(
    'DIGEST_INVALID',
    `${quoteInput(text)} is not a digest that this mirror can verify: write ${rule}`,
  )
}
