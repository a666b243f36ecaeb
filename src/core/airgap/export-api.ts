import type { Digest } from '../../oci/digest.ts'
import type { CarriedBlob, CarriedImage } from './carried.ts'

export interface ExportRequest {
  /** Names or globs. */
  readonly references: readonly string[]
  /** Also, each beside the references: everything, what is pinned, what was used since (ms). */
  readonly all: boolean
  readonly pinned: boolean
  readonly usedSince?: number
  /** As of a warming. */
  readonly platforms?: readonly string[]
  readonly referrers: boolean
  /** None of it is going to be read: marks nothing as used. */
  readonly dryRun?: boolean
}

export interface ExportPlan {
  readonly platforms: readonly string[]
  /** Each with the positions of its parts in `blobs`. Attachments follow the image that they belong to. */
  readonly images: readonly (CarriedImage & { readonly parts: readonly number[] })[]
  /** Each once: manifests first, then blobs. All of them are here. */
  readonly blobs: readonly CarriedBlob[]
  /** Asked for, and not here as a whole. They are in none of the above. */
  readonly incomplete: readonly {
    readonly image: string
    readonly missing: readonly Digest[]
    readonly reason: string
    /** Some of the missing are stored, and their bytes are not what they should be. */
    readonly isDamaged?: true
  }[]
}

/** Gives out what is here, for a bundle. Throws MaintenanceError. */
export interface ExportApi {
  /** Marks everything in it as used now, so that it is the last to be evicted. */
  plan(request: ExportRequest): Promise<ExportPlan>
  /**
   * The stored bytes from `start` on, not verified again. To be read to the end, or its iterator returned; a
   * chunk's memory is reused after the next one is asked for. `size` is that of the whole blob. Throws
   * DigestMismatch for what is stored and cannot be opened.
   */
  read(
    digest: Digest,
    start: number,
    signal: AbortSignal,
  ): Promise<{ readonly size: number; readonly body: AsyncIterable<Uint8Array> }>
}
