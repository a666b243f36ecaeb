import type { Digest } from '../../oci/digest.ts'
import type { CarriedImage } from './carried.ts'

/** What a bundle says of itself. */
export interface BundleOrigin {
  /** `sha256:…` over what it says; absent for archives of other tools. */
  readonly id?: string
  /** ms since the epoch */
  readonly created: number
  /** As a person knows it: the file's name. */
  readonly name: string
}

export interface ImportOffer {
  readonly images: readonly CarriedImage[]
  /** Everything that the bundle holds, in all its parts. */
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[]
  /** What its images need and it does not hold, because the other side was said to have it. */
  readonly requires: readonly Digest[]
  /** Ids of the bundles that are said to have had that. */
  readonly parents: readonly string[]
  readonly origin: BundleOrigin
  /** Tags move although the one that is here is newer. */
  readonly overwrite: boolean
}

export interface ImportPlan {
  /**
   * Of the offered blobs, those that are to be put: they are not here, or only for others than these images,
   * and then having the bytes is what entitles them.
   */
  readonly missing: readonly Digest[]
  readonly missingBytes: number
  /** Of the required ones, those that are not here, or only for others than these images. */
  readonly lacking: readonly Digest[]
  /** Of the parents, those that were imported here. */
  readonly imported: readonly string[]
  /** Bytes that could be stored, with what may be evicted for it; absent where there is no telling. */
  readonly room?: number
  /** Tags that would point elsewhere. */
  readonly moves: readonly TagMove[]
  /** Images that cannot be taken, such as those of an upstream that is not configured. */
  readonly refused: readonly { readonly image: string; readonly reason: string }[]
}

export interface TagMove {
  readonly image: string
  readonly from: Digest
  readonly to: Digest
  /** It stays: the one that is here was confirmed later than the bundle's, or it is held. */
  readonly kept?: 'newer' | 'held'
}

/** A blob on its way. */
export interface OfferedBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** Of the commit that it is meant for. */
  readonly session: string
  /** The id of the bundle that it comes from, if that has one. */
  readonly bundle?: string
}

export interface CommitRequest {
  /** A name for this run that no other has: images may be given what was put for it. */
  readonly session: string
  readonly images: readonly CarriedImage[]
  readonly origin: BundleOrigin
  readonly overwrite: boolean
  /** `carried`: those that were pinned where they come from. */
  readonly pin: 'none' | 'all' | 'carried'
}

export interface CommitReport {
  readonly images: readonly CommittedImage[]
  readonly moves: readonly TagMove[]
}

/** `unchanged`: all of it was so already; `kept`: the tag stays where it is; `incomplete`: nothing was done. */
export interface CommittedImage {
  readonly image: string
  readonly digest: Digest
  readonly state: 'committed' | 'unchanged' | 'kept' | 'incomplete' | 'refused'
  readonly missing: readonly Digest[]
  readonly reason?: string
}

/** Takes in what was carried here. Throws MaintenanceError, and NoSpace where there is no room. */
export interface ImportApi {
  plan(offer: ImportOffer): Promise<ImportPlan>
  /**
   * Verifies while it writes, and what is here already without writing it again. When it resolves, the blob
   * survives a loss of power; no image has it until `commit`. A chunk's memory may be reused after the next one is asked for. Throws DigestMismatch for other bytes, or another number of them: then nothing is stored.
   */
  put(blob: OfferedBlob, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /** Each image whose parts are all here, for its platforms; when it resolves, they survive a loss of power. */
  commit(request: CommitRequest): Promise<CommitReport>
}
