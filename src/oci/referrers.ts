import type { ReferrerFacts } from './attachment.ts'
import { readReferrerFacts } from './attachment.ts'
import type { Descriptor } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { digestAlgorithm, digestHex } from './digest.ts'
import { asArray, isObject, parseJson } from './json.ts'
import { readDescriptor } from './manifest.ts'
import { OCI_INDEX } from './media-types.ts'
import type { Tag } from './reference.ts'

/** A manifest whose subject is another one: a signature, an SBOM, an attestation. */
export interface Referrer extends Descriptor, ReferrerFacts {}

/** distribution-spec "Referrers Tag Schema": what is longer is cut. */
const MAX_TAG_ENCODED = 64

/** The tag under which registries without a referrers API keep the list. */
export function referrersTag(subject: Digest): Tag {
  const encoded = digestHex(subject).slice(0, MAX_TAG_ENCODED)
  return `${digestAlgorithm(subject)}-${encoded}` as Tag
}

/** The entries of an index. Throws SyntaxError or TypeError for a body that is not JSON. */
export function parseReferrers(bytes: Uint8Array): readonly Referrer[] {
  const body = parseJson(bytes)
  if (!isObject(body)) return []
  return asArray(body['manifests']).flatMap((entry) => {
    const descriptor = readDescriptor(entry)
    if (descriptor === undefined || !isObject(entry)) return []
    return [{ ...descriptor, ...readReferrerFacts(entry) }]
  })
}

/** Each manifest once; what the first list says of it counts. */
export function mergeReferrers(
  first: readonly Referrer[],
  second: readonly Referrer[],
): readonly Referrer[] {
  const merged = new Map<Digest, Referrer>()
  for (const referrer of [...first, ...second]) {
    if (!merged.has(referrer.digest)) merged.set(referrer.digest, referrer)
  }
  return [...merged.values()]
}

/** The body of an answer to "Listing Referrers". */
export function formatReferrers(referrers: readonly Referrer[]): string {
  const manifests = referrers.map(({ mediaType, digest, size, artifactType, annotations }) => ({
    mediaType,
    digest,
    size,
    artifactType,
    annotations,
  }))
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })
}
