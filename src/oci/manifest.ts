import type { Attachment } from './attachment.ts'
import { readAttachment } from './attachment.ts'
import type { Descriptor } from './descriptor.ts'
import { parseDigest } from './digest.ts'
import type { JsonObject } from './json.ts'
import { asArray, isObject, parseJson } from './json.ts'
import {
  DOCKER_MANIFEST,
  essence,
  isImageType,
  isIndexType,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-types.ts'

/** distribution-spec: registries SHOULD accept at least 4 MiB, and containerd reads no more than that. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024

/** What we read of a manifest. The bytes themselves are never rewritten: their digest is their name. */
export interface ManifestFacts extends Attachment {
  readonly mediaType: string
  /** Everything it names that a client may ask for next: configuration, layers, or an index's manifests. */
  readonly children: readonly Descriptor[]
}

/** Why a body cannot be the manifest that its header says it is. */
export class ManifestMismatch extends Error {
  override readonly name = 'ManifestMismatch'
}

const EMPTY: readonly Descriptor[] = []
const UNTOLD_TYPES = new Set(['', 'application/json', 'text/plain', 'application/octet-stream'])

/**
 * Reads a manifest's type and children. An unknown media type is an artifact of its own: it passes
 * unread. A known one has to be what it says, because clients that trust the header and clients that
 * trust the body must not see two different things (CVE-2021-41190).
 */
export function readManifest(bytes: Uint8Array, contentType: string): ManifestFacts {
  const header = essence(contentType)
  const isUntold = UNTOLD_TYPES.has(header)
  if (!isUntold && !isIndexType(header) && !isImageType(header)) {
    if (header === 'text/html') throw new ManifestMismatch('the body is an HTML page')
    return { mediaType: header, children: EMPTY }
  }
  const body = parseObject(bytes)
  const mediaType = isUntold ? typeFromBody(body) : header
  const inner = body['mediaType']
  if (typeof inner === 'string' && inner !== mediaType) {
    throw new ManifestMismatch(`the header says ${mediaType}, the body says ${inner}`)
  }
  checkShape(body, mediaType)
  return { mediaType, children: childrenOf(body, mediaType), ...readAttachment(body) }
}

function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown
  try {
    value = parseJson(bytes)
  } catch (cause) {
    throw new ManifestMismatch('the body is not JSON', { cause })
  }
  if (!isObject(value)) throw new ManifestMismatch('the body is not a JSON object')
  return value
}

/** Some registries answer `application/json` or nothing: then the body is the only witness. */
function typeFromBody(body: JsonObject): string {
  const stated = body['mediaType']
  if (typeof stated === 'string') return stated
  if (Array.isArray(body['manifests'])) return OCI_INDEX
  if (Array.isArray(body['layers']) && isObject(body['config'])) {
    return body['config']['mediaType'] === 'application/vnd.docker.container.image.v1+json'
      ? DOCKER_MANIFEST
      : OCI_MANIFEST
  }
  throw new ManifestMismatch('neither the header nor the body says what kind of manifest it is')
}

/** The same bytes must not be readable both as an index and as an image. */
function checkShape(body: JsonObject, mediaType: string): void {
  const foreign = isIndexType(mediaType)
    ? ['layers', 'config', 'fsLayers']
    : ['manifests', 'fsLayers']
  if (!isIndexType(mediaType) && !isImageType(mediaType)) return
  for (const field of foreign) {
    if (body[field] !== undefined) {
      throw new ManifestMismatch(`a ${mediaType} cannot have the field "${field}"`)
    }
  }
}

function childrenOf(body: JsonObject, mediaType: string): readonly Descriptor[] {
  const candidates = isIndexType(mediaType)
    ? asArray(body['manifests'])
    : [body['config'], ...asArray(body['layers'])]
  const children = new Map<string, Descriptor>()
  for (const candidate of candidates) {
    const child = readDescriptor(candidate)
    if (child !== undefined) children.set(child.digest, child)
  }
  return [...children.values()]
}

/** A descriptor with a digest that we would not serve is left out: nothing can be asked by that name. */
export function readDescriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value)) return undefined
  const { digest, size, mediaType } = value
  const parsed = typeof digest === 'string' ? parseDigest(digest) : undefined
  if (parsed === undefined || !isSize(size)) return undefined
  return { digest: parsed, size, mediaType: typeof mediaType === 'string' ? mediaType : '' }
}

/** The linux/amd64 child of an index, which clients that know no index are given, as distribution does. */
export function defaultPlatformChild(bytes: Uint8Array): Descriptor | undefined {
  for (const entry of asArray(parseObject(bytes)['manifests'])) {
    if (!isObject(entry) || !isObject(entry['platform'])) continue
    const { os, architecture } = entry['platform']
    if (os === 'linux' && architecture === 'amd64') return readDescriptor(entry)
  }
  return undefined
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
