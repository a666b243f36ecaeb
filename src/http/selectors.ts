import { RegistryError } from '../oci/registry-error.ts'
import type { RepositoryName, UpstreamName } from '../oci/reference.ts'
import { parseRepositoryName } from '../oci/reference.ts'
import type { AddressBook } from './address-book.ts'
import { canonicalHost, canonicalUpstream, requireConfigured } from './address-book.ts'
import type { Query } from './query.ts'
import { quoteInput } from './quote-input.ts'
import type { RequestHost } from './request-host.ts'
import type { RequestTarget } from './request-target.ts'

/** Where a request may name its upstream outside the repository's path, in order of precedence. */
export type SelectorRow = 'ns' | 'oci-ref-name' | 'header' | 'prefix' | 'host'

export interface Selection {
  readonly upstream: UpstreamName
  readonly row: SelectorRow
  /** The repositories that `oci-ref-name` names; the path has to say the same. */
  readonly repositories: readonly RepositoryName[]
}

export interface SelectorSources {
  readonly request: RequestTarget
  readonly query: Query
  readonly host: RequestHost | undefined
  /** The path segment before `/v2`. */
  readonly prefix: string | undefined
}

/** One thing in the request that names an upstream. */
interface Selector {
  readonly row: SelectorRow
  /** How an error message calls it. */
  readonly label: string
  readonly upstream: UpstreamName
  readonly repository?: RepositoryName
}

/**
 * The upstream that the request names, or `undefined` if it names none. The first selector that is
 * present decides, and the others have to agree with it.
 *
 * Throws RegistryError: NAME_INVALID (400) for a selector that is no name, is given twice or contradicts
 * another; NAME_UNKNOWN (404) for a name that is not configured, which is never a reason to look further.
 */
export function selectUpstream(sources: SelectorSources, book: AddressBook): Selection | undefined {
  const selectors = readSelectors(sources, book)
  const [first] = selectors
  if (first === undefined) return selectByHost(sources, book)
  const rival = selectors.find((selector) => selector.upstream !== first.upstream)
  if (rival !== undefined) throw invalid(`${first.label} and ${rival.label} name two upstreams`)
  return {
    upstream: requireConfigured(first.upstream, book),
    row: first.row,
    repositories: selectors.flatMap(({ repository }) => repository ?? []),
  }
}

/**
 * Whether the name is the mirror's own and so selects nothing: containerd sends `ns=localhost:5000` for
 * an image that is named after the mirror. Never true of a configured upstream, because the request's
 * `Host` is one of the mirror's names, and a client could make an upstream vanish by sending it there.
 */
export function isOwnName(text: string, host: RequestHost | undefined, book: AddressBook): boolean {
  const upstream = canonicalUpstream(text, book)
  if (upstream !== undefined && book.upstreams.has(upstream)) return false
  const name = canonicalHost(text)
  return name === host?.nameAndPort || book.names.has(name)
}

function readSelectors(sources: SelectorSources, book: AddressBook): readonly Selector[] {
  const { request, query, host, prefix } = sources
  const name = (row: SelectorRow, what: string, text: string | undefined) =>
    readName({ row, what, text }, host, book)
  const refName = (row: SelectorRow, what: string, text: string | undefined) =>
    readRefName({ row, what, text }, host, book)
  return [
    name('ns', 'the query parameter ns', query.get('ns')),
    refName('oci-ref-name', 'the query parameter oci-ref-name', query.get('oci-ref-name')),
    name('header', 'the header OCI-Namespace', single('OCI-Namespace', request.ociNamespace)),
    refName('header', 'the header OCI-Ref-Name', single('OCI-Ref-Name', request.ociRefName)),
    name('prefix', 'the path before /v2', prefix),
  ].filter((selector) => selector !== undefined)
}

interface Written {
  readonly row: SelectorRow
  readonly what: string
  readonly text: string | undefined
}

function readName(
  { row, what, text }: Written,
  host: RequestHost | undefined,
  book: AddressBook,
): Selector | undefined {
  if (text === undefined) return undefined
  const label = `${what} (${quoteInput(text)})`
  const upstream = canonicalUpstream(text, book)
  if (isOwnName(text, host, book)) return undefined
  if (upstream === undefined) {
    throw invalid(`${label} is not a registry's name: write host or host:port, without a scheme`)
  }
  return { row, label, upstream }
}

/**
 * `docker.io` or `docker.io/library/x`: the name that the client resolved, as distribution-spec #12
 * proposes it. A tag or digest in it has no meaning there, and could only contradict the path.
 */
function readRefName(
  { row, what, text }: Written,
  host: RequestHost | undefined,
  book: AddressBook,
): Selector | undefined {
  const slash = text?.indexOf('/') ?? -1
  if (text === undefined || slash < 0) return readName({ row, what, text }, host, book)
  const selector = readName({ row, what, text: text.slice(0, slash) }, host, book)
  if (selector === undefined) return undefined
  const repository = parseRepositoryName(text.slice(slash + 1))
  if (repository !== undefined) return { ...selector, repository }
  throw invalid(
    `${what} (${quoteInput(text)}) is not host or host/repository, without tag or digest`,
  )
}

/** Row 5. The header is always there, so a host that is not listed here selects nothing. */
function selectByHost(
  { request, host }: SelectorSources,
  book: AddressBook,
): Selection | undefined {
  const upstream =
    book.hosts.get(host?.nameAndPort ?? '') ??
    book.hosts.get(host?.name ?? '') ??
    book.hosts.get(`:${request.localPort}`)
  return upstream && { upstream, row: 'host', repositories: [] }
}

function single(header: string, values: readonly string[]): string | undefined {
  if (values.length > 1) throw invalid(`the header ${header} is given ${values.length} times`)
  return values[0]
}

function invalid(detail: string): RegistryError {
  return new RegistryError('NAME_INVALID', detail)
}
