import type { Digest } from '../../oci/digest.ts'
import type { ListedReference } from './warm-api.ts'

export interface CheckRequest {
  readonly images: readonly ListedReference[]
  /** As of a warming. */
  readonly platforms?: readonly string[]
  /** Each image that was asked for, or one of its wanted platforms, has to have a signature here. */
  readonly signatures: boolean
}

export interface CheckedImage extends ListedReference {
  readonly image: string
  /** `complete`; `incomplete`: parts are missing; `absent`: nothing of it is here; `invalid`: no reference. */
  readonly state: 'complete' | 'incomplete' | 'unsigned' | 'absent' | 'invalid'
  readonly digest?: Digest
  readonly platforms: readonly { readonly platform: string; readonly complete: boolean }[]
  /** Of the wanted platforms, those that the index does not have. */
  readonly unknownPlatforms: readonly string[]
  readonly missing: {
    readonly blobs: number
    readonly bytes: number
    readonly digests: readonly Digest[]
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

/** Looks at what is here and asks no upstream. Throws MaintenanceError. */
export interface CheckApi {
  check(request: CheckRequest): Promise<CheckReport>
  inventory(): Promise<InventoryReport>
  /** Images by tag, or by digest where it was pulled so, that clients have been given since then (ms). */
  served(since: number): Promise<readonly string[]>
}
