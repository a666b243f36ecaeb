import { RegistryError } from '../oci/registry-error.ts'
import type { UpstreamName } from '../oci/reference.ts'
import { parseUpstreamName } from '../oci/reference.ts'
import { quoteInput } from './quote-input.ts'

/** What the configuration says about names. A client's words are only ever looked up in here. */
export interface AddressBook {
  readonly upstreams: ReadonlySet<UpstreamName>
  /** Lower case: `hub` → `docker.io`. */
  readonly aliases: ReadonlyMap<string, UpstreamName>
  /** `hub.mirror.example`, `hub.mirror.example:5000` or `:5001` (the listener's port) → upstream. */
  readonly hosts: ReadonlyMap<string, UpstreamName>
  readonly defaultUpstream: UpstreamName | undefined
  /** The mirror's own names, lower case, with the port unless it is 443. */
  readonly names: ReadonlySet<string>
  /** `''` or `/prefix`. */
  readonly basePath: string
}

export interface AddressBookSource {
  readonly upstreams: Iterable<{
    readonly name: UpstreamName
    readonly aliases: readonly string[]
    readonly hosts: readonly string[]
  }>
  readonly defaultUpstream: UpstreamName | undefined
  /** `server.names`. */
  readonly names: readonly string[]
  readonly publicUrl: URL | undefined
  readonly basePath: string
}

/** How many upstreams an error message lists. */
const MAX_LISTED = 20

/** Makes all spellings one, once, at start. The configuration has already refused collisions. */
export function compileAddressBook(source: AddressBookSource): AddressBook {
  const upstreams = new Set<UpstreamName>()
  const aliases = new Map<string, UpstreamName>()
  const hosts = new Map<string, UpstreamName>()
  for (const upstream of source.upstreams) {
    upstreams.add(upstream.name)
    for (const alias of upstream.aliases) aliases.set(canonicalHost(alias), upstream.name)
    for (const host of upstream.hosts) hosts.set(canonicalHost(host), upstream.name)
  }
  const names = new Set(source.names.map(canonicalHost))
  if (source.publicUrl !== undefined) names.add(canonicalHost(source.publicUrl.host))
  const { defaultUpstream, basePath } = source
  return { upstreams, aliases, hosts, defaultUpstream, names, basePath }
}

/** `Mirror.Example:443` → `mirror.example`: as `parseUpstreamName` does, for names that are no upstream's. */
export function canonicalHost(host: string): string {
  const lower = host.toLowerCase()
  // `:443` alone is a listener's port, not a host's default one.
  return lower.length > 4 && lower.endsWith(':443') ? lower.slice(0, -4) : lower
}

/**
 * The one canonical form of a name that a client wrote, which need not be configured. `undefined` if
 * it is no registry's name at all.
 */
export function canonicalUpstream(text: string, book: AddressBook): UpstreamName | undefined {
  // Checked before lower-casing: U+212A (the Kelvin sign) becomes an ASCII "k" then.
  if (!/^[!-~]+$/.test(text)) return undefined
  return book.aliases.get(canonicalHost(text)) ?? parseUpstreamName(text)
}

/** Throws RegistryError NAME_UNKNOWN (404), with the names that would do. */
export function requireConfigured(name: UpstreamName, book: AddressBook): UpstreamName {
  if (book.upstreams.has(name)) return name
  throw new RegistryError(
    'NAME_UNKNOWN',
    `this mirror has no upstream ${quoteInput(name)}; ${listUpstreams(book)}`,
  )
}

/** `it mirrors docker.io, ghcr.io and 3 more`. */
export function listUpstreams(book: AddressBook): string {
  const names = [...book.upstreams]
  if (names.length === 0) return 'no upstream is configured'
  const rest = names.length - MAX_LISTED
  const listed = names.slice(0, MAX_LISTED).join(', ')
  return rest > 0 ? `it mirrors ${listed} and ${rest} more` : `it mirrors ${listed}`
}
