import type { Digest } from '../../oci/digest.ts'
import type { ImportMark } from '../airgap/import-catalog.ts'
import type { DiskState } from '../disk-health.ts'
import type { UpstreamMode } from '../upstream-mode.ts'
import type { UpstreamState } from '../upstream-state.ts'
import type { Closure } from './inventory.ts'

/** What maintenance answers, to a caller in this process or over HTTP: plain data. Bytes, ms since the epoch. */

export interface Page<T> {
  readonly items: readonly T[]
  /** The `after` of the next page, if there is one. */
  readonly next?: string
}

export interface ListedImage extends Closure {
  /** `docker.io/library/alpine:3` */
  readonly image: string
  readonly digest: Digest
  readonly mediaType: string
  /** Absent for a pinned image that no tag is any more. */
  readonly checkedAt?: number
  readonly pinned: boolean
  readonly held: boolean
}

export interface ListedRepository {
  readonly repository: string
  readonly tags: number
  readonly manifests: number
  readonly blobs: number
  readonly bytes: number
}

export interface ListedBlob {
  readonly digest: Digest
  readonly size: number
  readonly usedAt: number
}

/** A manifest, or a blob of one, and whether it is here. */
export interface ImageNode {
  readonly digest: Digest
  readonly mediaType: string
  /** As stated by what names it. */
  readonly size: number
  readonly stored: boolean
  /** `linux/arm64/v8`, or `attestation`; only below an index. */
  readonly platform?: string
  readonly children: readonly ImageNode[]
}

export interface ImageReport extends Closure {
  readonly image: string
  readonly pinned: boolean
  readonly held: boolean
  /** Absent if it was named by its digest. */
  readonly checkedAt?: number
  /** Of a tag that still is what an import made it. */
  readonly imported?: ImportMark
  readonly tree: ImageNode
  /** Newest first. */
  readonly history: readonly ListedChange[]
}

export interface ListedChange {
  readonly image: string
  /** `null`: dropped. */
  readonly digest: Digest | null
  readonly at: number
}

export interface RemovalReport {
  readonly dryRun: boolean
  readonly images: readonly {
    readonly image: string
    readonly tags: readonly string[]
    readonly manifests: number
  }[]
  readonly freed: Amount
  /** Named by something else, and so not removed. */
  readonly kept: Amount
}

export interface Amount {
  readonly blobs: number
  readonly bytes: number
}

export interface PinReport {
  readonly images: readonly {
    readonly image: string
    readonly digest: Digest
    /** Whether this call did it. */
    readonly changed: boolean
    readonly missingBlobs: number
  }[]
}

export interface HoldReport {
  readonly image: string
  readonly digest: Digest
  /** What the tag was before; absent if it is new here or was the same. */
  readonly before?: Digest
}

export interface GcReport {
  readonly dryRun: boolean
  readonly unreferenced: readonly ListedBlob[]
  readonly quarantined: readonly { readonly digest: Digest; readonly size: number }[]
  readonly freed: Amount
}

export interface VerifyProgress extends Amount {
  readonly totalBlobs: number
  readonly totalBytes: number
}

/**
 * `damaged`: the bytes were others, and are set aside; `missing`: the file was gone, or of another size.
 * Neither is served any more. `repaired`: it has been downloaded again.
 */
export interface VerifyFinding {
  readonly digest: Digest
  readonly state: 'damaged' | 'missing'
  readonly repaired: boolean
  /** Why it was not repaired. */
  readonly reason?: string
}

export interface VerifyReport extends Amount {
  /** When a run that was interrupted began, if this one went on from there. */
  readonly resumedFrom?: number
  readonly findings: readonly VerifyFinding[]
}

export interface StatsReport {
  readonly stored: Amount
  /** `minFree` in bytes of this volume; `null` where that does not tell its size. */
  readonly limits: { readonly maxSize: number | null; readonly minFree: number | null }
  /** `null`: the volume cannot be read. */
  readonly volume: { readonly total: number; readonly free: number } | null
  readonly counts: {
    readonly repositories: number
    readonly tags: number
    readonly manifests: number
    readonly pins: number
    readonly holds: number
  }
  /** Of the running mirror; `null` where the data directory was opened without one. */
  readonly activity: Activity | null
}

export interface Activity {
  readonly startedAt: number
  readonly flights: number
  /** What downloads have met; what is stored is served in any case. */
  readonly disk: DiskState
  readonly upstreams: readonly UpstreamReport[]
  /** Those that are configured. */
  readonly jobs: readonly WarmJobReport[]
}

export interface WarmJobReport {
  readonly name: string
  /** As it was written. */
  readonly schedule: string
  readonly runningSince: number | null
  /** `null`: never again. */
  readonly next: number | null
  /** Since the start of the mirror, as is `lastSuccess`. */
  readonly last: WarmJobRun | null
  readonly lastSuccess: number | null
}

export interface WarmJobRun {
  readonly startedAt: number
  readonly endedAt: number
  readonly images: number
  /** Of these, those that are not here, or not all of them. */
  readonly failed: number
  /** What else was wrong with it, such as a list that could not be read. */
  readonly problem?: string
}

export interface UpstreamReport {
  readonly upstream: string
  readonly mode: UpstreamMode
  /** How requests for content were answered since the start, with the bytes that were sent. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly bytes: number
  /** Requests that got an error of the kind 5xx. */
  readonly failed: number
  /** Of the outcomes, the part that needed no upstream; `null` before the first one. */
  readonly hitRatio: number | null
  readonly state: UpstreamState
}
