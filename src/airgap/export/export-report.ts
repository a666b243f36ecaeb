import type { CarriedImage } from '../../core/airgap/carried.ts'
import type { ExportPlan } from '../../core/airgap/export-api.ts'
import type { Digest } from '../../oci/digest.ts'

/** How far the writing has come, in bytes of blobs. */
export interface ExportProgress {
  readonly bytes: { readonly done: number; readonly total: number }
}

export interface ExportedImage extends Pick<CarriedImage, 'image' | 'platforms' | 'subject'> {
  readonly digest: Digest
}

/** Plain data: bytes, ms since the epoch. */
export interface ExportReport {
  readonly dryRun: boolean
  /** Of the bundle; absent where none was made. */
  readonly id?: Digest
  /** What was wanted: `all`, or platforms. */
  readonly platforms: readonly string[]
  /** What the other side was said to have. */
  readonly have: readonly {
    readonly name: string
    readonly created: number
    readonly blobs: number
  }[]
  /** Those that are carried; signatures and the like have a subject. */
  readonly images: readonly ExportedImage[]
  readonly carried: { readonly blobs: number; readonly bytes: number }
  /** If the other side had nothing. */
  readonly full: { readonly images: number; readonly blobs: number; readonly bytes: number }
  /** Blobs that the images need besides, and that the other side was said to have. */
  readonly requires: number
  readonly incomplete: ExportPlan['incomplete']
  /** `-` for standard output. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  /** The list beside them, for `--have`. */
  readonly header?: { readonly path: string; readonly bytes: number }
}
