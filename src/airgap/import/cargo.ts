import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { BundleOrigin } from '../../core/airgap/import-api.ts'
import type { Digest } from '../../oci/digest.ts'
import type { BundleParent, RequiredBlob } from '../bundle/bundle-header.ts'

export interface CargoBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** A blob, and where it stands, for whoever has to be told of it. */
export interface DeliveredBlob extends CargoBlob {
  /** `week34.tar: blobs/sha256/…` */
  readonly place: string
}

/** Takes the bytes of one blob. A chunk's memory is reused after the next one is asked for. */
export type TakeBlob = (blob: DeliveredBlob, body: AsyncIterable<Uint8Array>) => Promise<void>

/** What is to be imported in one go: a bundle with all its parts that are at hand, or one foreign archive. */
export interface Cargo {
  readonly origin: BundleOrigin
  readonly images: readonly CarriedImage[]
  /** In all its parts, also those that are not at hand. */
  readonly blobs: readonly CargoBlob[]
  readonly requires: readonly RequiredBlob[]
  readonly parents: readonly BundleParent[]
  /** Parts of the bundle that were not given, by their number. */
  readonly absent: readonly number[]
  /** What a person is to know before anything is done. */
  readonly notes: readonly string[]
  /** Manifests by digest, if they can be looked at before the rest. `undefined`: this one is not in it. */
  readonly manifests:
    ((digests: ReadonlySet<Digest>) => Promise<ReadonlyMap<Digest, Uint8Array>>) | undefined
  /**
   * Gives each of the wanted blobs that are at hand to `take`, one after another. Throws BundleError, and what
   * `take` throws.
   */
  deliver(wanted: ReadonlySet<Digest>, take: TakeBlob, signal: AbortSignal): Promise<void>
  /** Lets go of it, if it is not delivered. */
  close(): Promise<void>
}
