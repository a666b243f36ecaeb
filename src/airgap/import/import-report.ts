import type {
  BundleOrigin,
  CommitReport,
  ImportPlan,
  TagMove,
} from '../../core/airgap/import-api.ts'
import type { BundleParent } from '../bundle/bundle-header.ts'

/** What there is to do for one bundle or archive, before anything is done. */
export interface CargoPlan extends Omit<ImportPlan, 'missing' | 'lacking' | 'imported'> {
  readonly origin: BundleOrigin
  readonly images: number
  /** Of what it holds in all, bytes too. */
  readonly blobs: number
  readonly bytes: number
  /** To be read: they are not here, or not for these images. */
  readonly missing: number
  readonly required: number
  readonly lacking: number
  readonly absentParts: readonly number[]
  readonly notes: readonly string[]
}

/** A blob whose bytes were not those that it is named for. */
export interface DamagedBlob {
  readonly place: string
  readonly reason: string
}

export interface CargoReport {
  readonly plan: CargoPlan
  /** Written, or found to be right, in this run. */
  readonly blobs: number
  readonly bytes: number
  readonly damaged: readonly DamagedBlob[]
  readonly images: CommitReport['images']
  readonly moves: readonly TagMove[]
  /** Where what is missing was said to be, and whether that was imported here. */
  readonly base: readonly (BundleParent & { readonly imported: boolean })[]
}

export interface ImportReport {
  readonly dryRun: boolean
  readonly bundles: readonly CargoReport[]
}

/** Counts never go down. */
export interface ImportProgress {
  readonly blobs: { readonly done: number; readonly total: number }
  readonly bytes: { readonly done: number; readonly total: number }
}

/** 0 all of it, 1 some images were not taken, 3 something is missing, 4 something is damaged. */
export function exitCodeOf({ bundles }: ImportReport): 0 | 1 | 3 | 4 {
  if (bundles.some(({ damaged }) => damaged.length > 0)) return 4
  const states = bundles.flatMap(({ images }) => images.map(({ state }) => state))
  const planned = bundles.map(({ plan }) => plan)
  if (states.includes('incomplete') || planned.some(({ lacking }) => lacking > 0)) return 3
  const isPartial = states.includes('refused') || planned.some(({ refused }) => refused.length > 0)
  return isPartial ? 1 : 0
}
