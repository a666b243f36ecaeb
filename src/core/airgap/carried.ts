import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'

/** A tag, or a manifest without one, that is carried from one mirror to another. */
export interface CarriedImage {
  /** `docker.io/library/alpine:3`; `…@sha256:…` for a referrer, or for what was asked for so. */
  readonly image: string
  readonly manifest: Descriptor
  /** Of an index: `all`, or the platforms that are carried; the index itself keeps its digest. */
  readonly platforms: 'all' | readonly string[]
  /** Of a tag: when its upstream last said so, ms since the epoch. */
  readonly checkedAt?: number
  readonly pinned?: true
  /** It is a signature, an SBOM or an attestation of this manifest. */
  readonly subject?: Digest
}

export interface CarriedBlob extends Descriptor {
  readonly kind: 'manifest' | 'blob'
}
