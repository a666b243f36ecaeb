import type { Descriptor } from '../oci/descriptor.ts'
import type { Referrer } from '../oci/referrers.ts'
import type { TagPage } from './lists.ts'
import type { OpenBlob } from './ports.ts'

/**
 * How a request was answered:
 * `hit` from disk or memory; `joined` a fetch that another request had started; `miss` fetched for this
 * request; `revalidated` from disk after upstream confirmed it; `stale` from disk although unconfirmed.
 */
export type Outcome = 'hit' | 'joined' | 'miss' | 'revalidated' | 'stale'

export interface Answer {
  readonly outcome: Outcome
  /** Why, for `Cache-Status: …; detail=`: a token of letters, digits and hyphens. */
  readonly detail?: string
  /** `false`: nothing of this answer is kept. */
  readonly isStored?: boolean
  /** Milliseconds since upstream last confirmed the content; only where that matters (stale). */
  readonly age?: number
  /** A sentence for `Warning: 299`, for the person who looks at the client's output. */
  readonly warning?: string
}

export interface ManifestAnswer extends Answer {
  readonly descriptor: Descriptor
  /** Absent when only the descriptor was asked for. */
  readonly bytes?: Uint8Array
}

export interface BlobAnswer extends Answer {
  /** Bytes; `undefined` if upstream did not say how long the blob is. */
  readonly size: number | undefined
  readonly blob: OpenBlob
}

export interface BlobFacts extends Answer {
  readonly size: number | undefined
}

export interface TagListAnswer extends Answer, TagPage {}

export interface ReferrersAnswer extends Answer {
  readonly referrers: readonly Referrer[]
}
