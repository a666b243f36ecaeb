import type { Descriptor } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { parseDigest } from './digest.ts'
import { asArray, isObject, parseJson } from './json.ts'
import { readDescriptor } from './manifest.ts'
import type { Platform } from './platform.ts'
import { readPlatform } from './platform.ts'

/** What an index says of one of its manifests. */
export interface IndexEntry extends Descriptor {
  readonly platform?: Platform
  /** BuildKit puts provenance and SBOMs beside the images that they are about: this is that image. */
  readonly attests?: Digest
}

/** In their order; what has no digest that we would serve is left out. Throws SyntaxError for what is not JSON. */
export function readIndexEntries(bytes: Uint8Array): readonly IndexEntry[] {
  const index = parseJson(bytes)
  if (!isObject(index)) return []
  return asArray(index['manifests']).flatMap((entry) => {
    const descriptor = readDescriptor(entry)
    if (descriptor === undefined || !isObject(entry)) return []
    const { platform, annotations } = entry
    const has = isObject(platform) ? readPlatform(platform) : undefined
    const about = isObject(annotations) ? annotations['vnd.docker.reference.digest'] : undefined
    const attests = typeof about === 'string' ? parseDigest(about) : undefined
    return [{ ...descriptor, ...(has && { platform: has }), ...(attests && { attests }) }]
  })
}
