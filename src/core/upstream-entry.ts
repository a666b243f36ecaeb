import type { TagPolicy } from './freshness.ts'
import type { Upstream } from './upstream.ts'
import type { UpstreamMode } from './upstream-mode.ts'

/** One registry, for two kinds of askers. Its state, and its end, are those of both. */
export interface Lanes {
  /** For those who wait for an answer now. */
  readonly client: Upstream
  /** For what nobody waits for: its requests let those of clients go first, and leave them half of the slots. */
  readonly background: Upstream
}

/** An upstream as the operator configured it. */
export interface UpstreamEntry extends Lanes {
  /** Of one that is offline, the lanes lead nowhere: see offline-upstream.ts. */
  readonly mode: UpstreamMode
  readonly tags: TagPolicy
  /** Asked without credentials, so that what it answers may be read by everyone. */
  readonly isPublic: boolean
  /** Whether an image's layers are fetched ahead of the client that pulls it. */
  readonly prefetch: boolean
}
