import type { Digest } from '../../oci/digest.ts'
import type { Amount } from '../maintenance/reports.ts'
import type { ListedReference } from './warm-api.ts'

export interface CheckRequest {
  readonly images: readonly ListedReference[]
  /** As of a warming. */
  readonly platforms?: readonly string[]
  /** Each image that was asked for, or each of its wanted platforms, has to have a signature here. */
  readonly signatures: boolean
}

export interface CheckedImage extends ListedReference {
  readonly image: string
  /**
   * `complete`: with no upstream it can be pulled; `incomplete`: parts are missing; `absent`: its manifest is;
   * `unsigned`: only a signature is; `invalid`: no reference.
   */
  readonly state: 'complete' | 'incomplete' | 'unsigned' | 'absent' | 'invalid'
  readonly digest?: Digest
  readonly platforms: readonly { readonly platform: string; readonly complete: boolean }[]
  /** Of the wanted platforms, those that the index does not have. */
  readonly unknownPlatforms: readonly string[]
  readonly missing: {
    readonly blobs: number
    readonly bytes: number
    readonly digests: readonly Digest[]
    /** Manifests are among them, and nobody here knows what those name. */
    readonly isMore: boolean
  }
  readonly attachments: number
  /** Of a tag: when upstream last said so, ms since the epoch. */
  readonly checkedAt?: number
  readonly reason?: string
}

export interface CheckReport {
  readonly platforms: readonly string[]
  readonly images: readonly CheckedImage[]
  readonly complete: number
}

/** What is here, for another mirror's `export --have`. */
export interface InventoryReport {
  readonly version: 1
  /** ms since the epoch */
  readonly created: number
  readonly images: readonly { readonly image: string; readonly digest: Digest }[]
  readonly blobs: readonly Digest[]
}

/** What is here beside the images of a list. */
export interface UnlistedReport {
  /** By names that `rm` takes. */
  readonly images: readonly string[]
  /** Neither listed nor to be removed: pinned, held, or a part of it is listed. */
  readonly spared: readonly { readonly image: string; readonly reason: string }[]
  /** How many of the list are here, and those that are not, as they were written. */
  readonly listed: number
  readonly absent: readonly string[]
  /** Of the blobs of the images: what nothing else would need, and what stays. */
  readonly freed: Amount
  readonly kept: Amount
}

/** Looks at what is here and asks no upstream. Throws MaintenanceError. */
export interface CheckApi {
  check(request: CheckRequest): Promise<CheckReport>
  inventory(): Promise<InventoryReport>
  /** Images by tag, or by digest where it was pulled so, that clients have been given since then (ms). */
  served(since: number): Promise<readonly string[]>
  /**
   * What a list does not name, that belongs to nothing it names. An empty list, one with anything in it that is
   * no image, and one of which nothing is here are refused.
   */
  unlisted(references: readonly string[]): Promise<UnlistedReport>
}
