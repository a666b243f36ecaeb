import type { Digest } from '../../oci/digest.ts'

/** An image as somebody wrote it, and where. */
export interface ListedReference {
  readonly reference: string
  /** `deploy/api.yaml:31` */
  readonly from?: string
}

export interface WarmRequest {
  readonly images: readonly ListedReference[]
  /** `linux/arm64`, or `all` alone. Absent: as configured. */
  readonly platforms?: readonly string[]
  /** Signatures, SBOMs and attestations too. Absent: as configured. */
  readonly referrers?: boolean
  /** From then on nothing of them is evicted. */
  readonly pin: boolean
  /** Finds out what there is to fetch, and fetches no blob. */
  readonly dryRun: boolean
  /** Images at a time. */
  readonly jobs?: number
  /** Stops at the first image that fails. */
  readonly failFast: boolean
}

/**
 * `held`: all of it was here; `fetched`: some of it came now; `planned`: some of it would have to come;
 * `absent`: its registry does not have it; `failed`: see the reason; `skipped`: not tried, because the pulls
 * that are left are kept in reserve, or because another one failed.
 */
export type WarmState = 'held' | 'fetched' | 'planned' | 'absent' | 'failed' | 'skipped'

export interface WarmedImage extends ListedReference {
  /** `docker.io/library/alpine:3`: the full name of what was written. */
  readonly image: string
  readonly state: WarmState
  /** Of what the tag points at. */
  readonly digest?: Digest
  /** The images of an index that were wanted, and that there are. */
  readonly platforms: readonly { readonly platform: string; readonly digest: Digest }[]
  /** Of all its parts, shared with others or not. Bytes. */
  readonly bytes: number
  /** Of the parts that were not here before. */
  readonly fetchBytes: number
  /** Signatures, SBOMs and attestations among its parts. */
  readonly attachments: number
  /** Why it is not here, or not all of it. */
  readonly reason?: string
}

export interface WarmedUpstream {
  readonly upstream: string
  readonly images: number
  /** Of these, those that were here. */
  readonly held: number
  /** To be fetched, or fetched. Each blob once. */
  readonly fetchBytes: number
  readonly attachments: number
  /** Pulls, as the upstream counts them. */
  readonly rateLimit?: { readonly remaining: number; readonly limit?: number }
}

export interface WarmReport {
  readonly dryRun: boolean
  /** What was wanted: `all`, or platforms. */
  readonly platforms: readonly string[]
  /** In the order of the request. */
  readonly images: readonly WarmedImage[]
  readonly upstreams: readonly WarmedUpstream[]
  /** Blobs that had to come, each once, and what they would be if nothing were shared. Bytes. */
  readonly fetch: { readonly blobs: number; readonly bytes: number; readonly unsharedBytes: number }
  /** Bytes that the volume has left. */
  readonly free?: number
}

/** A step of a warming. Counts never go down; what images share is counted once. */
export interface WarmProgress {
  readonly images: { readonly done: number; readonly failed: number; readonly total: number }
  /** `total` grows while manifests are read. */
  readonly bytes: { readonly done: number; readonly total: number }
  /** Under way. */
  readonly current: readonly string[]
  /** Set once for each image, when it is done. */
  readonly finished?: WarmedImage
}

/** Fetches images before anybody asks for them. Throws MaintenanceError. */
export interface WarmApi {
  warm(
    request: WarmRequest,
    onProgress: (progress: WarmProgress) => void,
    signal: AbortSignal,
  ): Promise<WarmReport>
}
