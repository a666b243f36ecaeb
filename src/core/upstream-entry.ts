import type { TagPolicy } from './freshness.ts'
import type { Upstream } from './upstream.ts'

/** An upstream as the operator configured it. */
export interface UpstreamEntry {
  readonly client: Upstream
  readonly tags: TagPolicy
  /** Asked without credentials, so that what it answers may be read by everyone. */
  readonly isPublic: boolean
}
