import type { Descriptor } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { asArray, isObject, parseJson } from './json.ts'
import { readDescriptor } from './manifest.ts'
import { isForeignLayer } from './media-types.ts'

/**
 * What a client that pulls an image asks its registry for, each once, in the order in which clients do:
 * the configuration, then the layers. Throws for bytes that are not JSON.
 */
export function pulledContent(manifest: Uint8Array): readonly Descriptor[] {
  const body = parseJson(manifest)
  if (!isObject(body)) return []
  const content = new Map<Digest, Descriptor>()
  for (const entry of [body['config'], ...asArray(body['layers'])]) {
    const blob = isElsewhere(entry) ? undefined : readDescriptor(entry)
    if (blob !== undefined && !content.has(blob.digest)) content.set(blob.digest, blob)
  }
  return [...content.values()]
}

/** Its bytes stand in the manifest, or at places of its owner's. */
function isElsewhere(entry: unknown): boolean {
  if (!isObject(entry)) return true
  const { data, urls, mediaType } = entry
  if (typeof data === 'string' || asArray(urls).length > 0) return true
  return typeof mediaType === 'string' && isForeignLayer(mediaType)
}
