import type { Digest } from './digest.ts'
import { parseDigest } from './digest.ts'

/** The canonical name of a registry: lower-case `host` or `host:port`, `docker.io` for Docker Hub. */
export type UpstreamName = string & { readonly __brand: 'UpstreamName' }
/** A repository's name below its registry: `library/alpine`. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' }
export type Tag = string & { readonly __brand: 'Tag' }

/** A repository of one upstream. Two upstreams may use one name for different content. */
export interface Repository {
  readonly upstream: UpstreamName
  readonly name: RepositoryName
}

export type Reference =
  { readonly kind: 'tag'; readonly tag: Tag } | { readonly kind: 'digest'; readonly digest: Digest }

/** No repository that there can be: for questions that are not about one. */
export const NOBODY: Repository = { upstream: '' as UpstreamName, name: '' as RepositoryName }

/** distribution-spec "Pulling manifests": the grammar sets no limit; 255 is what clients enforce. */
const MAX_NAME_LENGTH = 255
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const HOST_LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const HOST = new RegExp(
  `^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[0-9a-f:.]{2,45}\\])(?::([0-9]{1,5}))?$`,
)

/** All the names that clients use for Docker Hub: the API host and the historical index host. */
const DOCKER_HUB_NAMES = new Set(['index.docker.io', 'registry-1.docker.io'])
export const DOCKER_HUB = 'docker.io' as UpstreamName

export function parseRepositoryName(text: string): RepositoryName | undefined {
  // The length is checked first: the pattern is only ever run over a bounded text.
  if (text.length > MAX_NAME_LENGTH) return undefined
  return NAME.test(text) ? (text as RepositoryName) : undefined
}

export function parseTag(text: string): Tag | undefined {
  return TAG.test(text) ? (text as Tag) : undefined
}

/** The last segment of a manifest path: a digest when it holds a colon, else a tag. */
export function parseReference(text: string): Reference | undefined {
  if (text.includes(':')) {
    const digest = parseDigest(text)
    return digest && { kind: 'digest', digest }
  }
  const tag = parseTag(text)
  return tag && { kind: 'tag', tag }
}

/** `docker.io/library/alpine`: how people write it, and how clients may ask for it. */
export function formatRepository({ upstream, name }: Repository): string {
  return `${upstream}/${name}`
}

/** `docker.io/library/alpine@sha256:…` */
export function formatContent(repository: Repository, digest: Digest): string {
  return `${formatRepository(repository)}@${digest}`
}

/** `docker.io/library/alpine:3` */
export function formatTag(repository: Repository, tag: Tag): string {
  return `${formatRepository(repository)}:${tag}`
}

export function formatReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest
}

/**
 * Makes every spelling of a registry's name one: lower case, without https' default port, with Docker
 * Hub's other host names replaced. `undefined` if it is no host name at all (a URL, a path, a space).
 */
export function parseUpstreamName(text: string): UpstreamName | undefined {
  if (text.length > MAX_NAME_LENGTH) return undefined
  const lower = text.toLowerCase()
  const port = HOST.exec(lower)
  if (port === null || Number(port[1] ?? 1) > 65_535) return undefined
  const name = lower.endsWith(':443') ? lower.slice(0, -4) : lower
  return DOCKER_HUB_NAMES.has(name) ? DOCKER_HUB : (name as UpstreamName)
}

/** Docker Hub keeps its official images under `library/`, which people and some clients leave out. */
export function withLibrary(upstream: UpstreamName, name: RepositoryName): RepositoryName {
  const isOfficial = upstream === DOCKER_HUB && !name.includes('/')
  return isOfficial ? (`library/${name}` as RepositoryName) : name
}
