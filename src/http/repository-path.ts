import type { Repository, UpstreamName } from '../oci/reference.ts'
import { parseRepositoryName, withLibrary } from '../oci/reference.ts'
import { RegistryError } from '../oci/registry-error.ts'
import type { AddressBook } from './address-book.ts'
import {
  canonicalHost,
  canonicalUpstream,
  listUpstreams,
  requireConfigured,
} from './address-book.ts'
import type { Query } from './query.ts'
import { quoteInput } from './quote-input.ts'
import type { RequestHost } from './request-host.ts'
import type { Selection, SelectorRow } from './selectors.ts'
import { isOwnName } from './selectors.ts'

/** A path below `/v2`, taken apart: `<base>/<prefix>/v2/<rest>`. */
export interface Place {
  readonly prefix: string | undefined
  readonly rest: readonly string[]
}

/** How the upstream was found, and what our own relative links have to repeat. */
export interface Route {
  readonly row: SelectorRow | 'path' | 'default'
  /** The path in front of the repository's name: `/v2/`, `/quay.io/v2/`, `/base/v2/quay.io/`. */
  readonly path: string
  /** The query that named the upstream, `''` or `ns=quay.io`. */
  readonly query: string
  /** The header that named the upstream has to be in `Vary`. */
  readonly varies: boolean
}

export interface PathContext {
  readonly place: Place
  readonly query: Query
  readonly host: RequestHost | undefined
  readonly selection: Selection | undefined
}

/** An upstream, and how many segments of the path were needed to say so. */
interface Resolved {
  readonly upstream: UpstreamName
  readonly row: Route['row']
  readonly skipped: number
}

/**
 * The repository of a path, once the registry's name that may stand in front of it is taken off.
 *
 * Throws RegistryError: NAME_UNKNOWN (404) for an upstream that is not configured, NAME_INVALID (400)
 * for a name that the specification does not allow.
 */
export function resolveRepository(
  name: readonly string[],
  context: PathContext,
  book: AddressBook,
): { readonly repository: Repository; readonly route: Route } {
  const { upstream, row, skipped } =
    context.selection === undefined
      ? resolveByPath(name, context.host, book)
      : resolveSelected(name, context.selection, book)
  const repository = { upstream, name: requireRepositoryName(name.slice(skipped), upstream) }
  requireAgreement(repository, context.selection)
  const taken = name.slice(0, skipped).map((segment) => `${segment}/`)
  const root = rootRoute(context, book)
  return { repository, route: { ...root, row, path: `${root.path}${taken.join('')}` } }
}

/** Of what is no repository's: the path is what the request had in front of everything else. */
export function rootRoute(
  { place: { prefix }, query, selection }: Omit<PathContext, 'host'>,
  { basePath }: AddressBook,
): Omit<Route, 'row'> {
  return {
    path: `${basePath}${prefix === undefined ? '' : `/${prefix}`}/v2/`,
    query: selectorQuery(query),
    varies: selection?.row === 'header',
  }
}

/**
 * containerd appends `/v2` to a host's path unless told otherwise, which is the most frequent mistake
 * in a hosts.toml. It would otherwise look like a missing image. Throws NAME_UNKNOWN (404).
 */
export function refuseDoubledV2(
  rest: readonly string[],
  selection: Selection | undefined,
  book: AddressBook,
): void {
  const [first, second] = rest
  if (first === undefined || second !== 'v2') return
  const isName = selection === undefined ? namesRegistry(first, book) : looksLikeHost(first)
  const upstream = isName ? canonicalUpstream(first, book) : undefined
  if (upstream === undefined || !book.upstreams.has(upstream)) return
  if (selection !== undefined && selection.upstream !== upstream) return
  throw new RegistryError(
    'NAME_UNKNOWN',
    `the path has /v2 after ${quoteInput(first)} as well: in hosts.toml set override_path = true ` +
      'for this host, or take the path off its URL (containerd sends the registry as ns)',
  )
}

/** Rows 1 to 5: a prefix that says the same once more is taken off, anything else is the repository. */
function resolveSelected(
  name: readonly string[],
  { upstream, row }: Selection,
  book: AddressBook,
): Resolved {
  const [first = ''] = name
  // A bare alias stays: `hub/x` with `ns=docker.io` is the repository `hub/x` of Docker Hub.
  const isRepeated = looksLikeHost(first) && canonicalUpstream(first, book) === upstream
  return { upstream, row, skipped: isRepeated ? 1 : 0 }
}

/** Rows 6 and 7. The mirror's own name in front of either says nothing and is taken off. */
function resolveByPath(
  name: readonly string[],
  host: RequestHost | undefined,
  book: AddressBook,
): Resolved {
  const [first = ''] = name
  const own = looksLikeHost(first) && isOwnName(first, host, book) ? 1 : 0
  const registry = name[own] ?? ''
  if (!namesRegistry(registry, book)) return resolveDefault(own, book)
  return { upstream: requireNamed(registry, book), row: 'path', skipped: own + 1 }
}

function resolveDefault(skipped: number, book: AddressBook): Resolved {
  if (book.defaultUpstream !== undefined) {
    return { upstream: book.defaultUpstream, row: 'default', skipped }
  }
  throw new RegistryError(
    'NAME_UNKNOWN',
    'the request names no registry and this mirror has no default one: ' +
      `put the registry in front, as in /v2/quay.io/org/image; ${listUpstreams(book)}`,
  )
}

function requireNamed(segment: string, book: AddressBook): UpstreamName {
  const upstream = canonicalUpstream(segment, book)
  if (upstream !== undefined) return requireConfigured(upstream, book)
  throw new RegistryError(
    'NAME_INVALID',
    `${quoteInput(segment)} in the path is no registry's name`,
  )
}

/** Whether a first segment names a registry, configured or not, and is not part of a repository. */
function namesRegistry(segment: string, book: AddressBook): boolean {
  return looksLikeHost(segment) || book.aliases.has(canonicalHost(segment))
}

/** The rule of Docker's reference grammar for telling `quay.io/x` from `library/x`. */
function looksLikeHost(segment: string): boolean {
  return segment.includes('.') || segment.includes(':') || segment.toLowerCase() === 'localhost'
}

function requireRepositoryName(segments: readonly string[], upstream: UpstreamName) {
  const text = segments.join('/')
  const name = parseRepositoryName(text)
  if (name !== undefined) return withLibrary(upstream, name)
  if (text === '') {
    throw new RegistryError('NAME_INVALID', `the path names no repository of ${upstream}`)
  }
  throw new RegistryError(
    'NAME_INVALID',
    `${quoteInput(text)} is not a repository name: it has lower-case letters, digits and ` +
      'single ".", "_", "__" or "-" between them, in parts separated by "/", at most 255 in all',
  )
}

/** A request whose `oci-ref-name` is about another repository than its path is two requests. */
function requireAgreement(repository: Repository, selection: Selection | undefined): void {
  for (const stated of selection?.repositories ?? []) {
    if (withLibrary(repository.upstream, stated) === repository.name) continue
    throw new RegistryError(
      'NAME_INVALID',
      `oci-ref-name says ${quoteInput(stated)}, the path says ${quoteInput(repository.name)}`,
    )
  }
}

function selectorQuery(query: Query): string {
  return (['ns', 'oci-ref-name'] as const)
    .flatMap((name) => {
      const value = query.get(name)
      return value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]
    })
    .join('&')
}
