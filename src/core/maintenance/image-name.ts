import type { Digest } from '../../oci/digest.ts'
import { parseDigest } from '../../oci/digest.ts'
import type { Repository, Tag, UpstreamName } from '../../oci/reference.ts'
import {
  formatRepository,
  parseRepositoryName,
  parseTag,
  parseUpstreamName,
  withLibrary,
} from '../../oci/reference.ts'
import type { HeldImage } from './inventory.ts'
import { MaintenanceError } from './maintenance-error.ts'

/** What the configuration says about names. */
export interface Naming {
  readonly upstreams: ReadonlySet<UpstreamName>
  /** Lower case: `hub` → `docker.io`. */
  readonly aliases: ReadonlyMap<string, UpstreamName>
  readonly defaultUpstream: UpstreamName | undefined
}

/** An image as a person writes it; `tag` and `digest` only if they are written. */
export interface ImageName {
  readonly repository: Repository
  readonly tag?: Tag
  readonly digest?: Digest
}

const FORM = '[REGISTRY/]NAME[:TAG][@DIGEST]'
/** Longer than any name, tag and digest together. */
const MAX_LENGTH = 600

/** `alpine`, `hub/library/alpine:3`, `ghcr.io/org/x@sha256:…`. Throws MaintenanceError `invalid`. */
export function parseImageName(text: string, naming: Naming): ImageName {
  if (text.length > MAX_LENGTH) throw invalid(`${text.slice(0, 80)}…`)
  const at = text.indexOf('@')
  const tagged = at < 0 ? text : text.slice(0, at)
  // A colon before the last slash belongs to the registry's port.
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : parseTag(tagged.slice(colon + 1))
  const digest = at < 0 ? undefined : parseDigest(text.slice(at + 1))
  if ((colon >= 0 && tag === undefined) || (at >= 0 && digest === undefined)) throw invalid(text)
  const repository = parseRepository(colon < 0 ? tagged : tagged.slice(0, colon), text, naming)
  return { repository, ...(tag && { tag }), ...(digest && { digest }) }
}

/** Whether it stands for several names. */
export function isGlob(text: string): boolean {
  return /[*?[]/.test(text)
}

/** The full form: what `ls` shows, and what globs are compared with. */
export function formatImage({ repository, tag, digest }: ImageName): string {
  return `${formatRepository(repository)}${tag ? `:${tag}` : ''}${digest ? `@${digest}` : ''}`
}

/** By its tag, or by its digest if it has none. */
export function nameHeld({ repository, tag, manifest }: HeldImage): string {
  return formatImage(
    tag === undefined ? { repository, digest: manifest.digest } : { repository, tag },
  )
}

function parseRepository(path: string, text: string, naming: Naming): Repository {
  const slash = path.indexOf('/')
  const first = slash < 0 ? '' : path.slice(0, slash)
  const alias = naming.aliases.get(first.toLowerCase())
  const isRegistry = alias !== undefined || /[.:]/.test(first) || first === 'localhost'
  const upstream = alias ?? (isRegistry ? parseUpstreamName(first) : naming.defaultUpstream)
  const name = parseRepositoryName(isRegistry ? path.slice(slash + 1) : path)
  if (upstream === undefined && !isRegistry && name !== undefined) {
    const message = `"${text}" names no registry, and there is no default upstream: write it in full, as in ghcr.io/${name}`
    throw new MaintenanceError('invalid', message)
  }
  if (upstream === undefined || name === undefined) throw invalid(text)
  return { upstream, name: withLibrary(upstream, name) }
}

function invalid(text: string): MaintenanceError {
  return new MaintenanceError(
    'invalid',
    `${JSON.stringify(text)} is no image: write it as ${FORM}, for example docker.io/library/alpine:3`,
  )
}
