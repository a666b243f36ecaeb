import type { Digest } from './digest.ts'
import { parseDigest } from './digest.ts'
import type { JsonObject } from './json.ts'
import { isObject } from './json.ts'

/** What a list of referrers says about a manifest, besides its descriptor. */
export interface ReferrerFacts {
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** What a manifest says of its being attached to another one. */
export interface Attachment extends ReferrerFacts {
  readonly subject?: Digest
}

/** RFC 6838 §4.2: 127 characters on each side of the slash. */
const MAX_MEDIA_TYPE_LENGTH = 255
/** Of their JSON text. They are kept per manifest and sent with every list. */
const MAX_ANNOTATIONS_LENGTH = 16 * 1024

/**
 * distribution-spec "Listing Referrers": the artifact type of an image that states none is the media
 * type of its configuration. Nothing is read of a manifest that has no subject.
 */
export function readAttachment(manifest: JsonObject): Attachment {
  const { subject, config } = manifest
  const digest =
    isObject(subject) && typeof subject['digest'] === 'string'
      ? parseDigest(subject['digest'])
      : undefined
  if (digest === undefined) return {}
  const facts = readReferrerFacts(manifest)
  if (facts.artifactType !== undefined || !isObject(config)) return { subject: digest, ...facts }
  const artifactType = readMediaType(config['mediaType'])
  return { subject: digest, ...facts, ...(artifactType !== undefined && { artifactType }) }
}

/** Of a manifest, or of an entry in a list. */
export function readReferrerFacts(value: JsonObject): ReferrerFacts {
  const artifactType = readMediaType(value['artifactType'])
  const annotations = readAnnotations(value['annotations'])
  return {
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  }
}

function readMediaType(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_MEDIA_TYPE_LENGTH) return undefined
  return /^[!-~]+$/.test(value) ? value : undefined
}

/** All or nothing: a part of the annotations could mean something else than the whole. */
function readAnnotations(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isObject(value) || !isTextRecord(value)) return undefined
  return JSON.stringify(value).length <= MAX_ANNOTATIONS_LENGTH ? value : undefined
}

function isTextRecord(value: JsonObject): value is Readonly<Record<string, string>> {
  return Object.values(value).every((text) => typeof text === 'string')
}
