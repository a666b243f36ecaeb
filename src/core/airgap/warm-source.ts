import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag, UpstreamName } from '../../oci/reference.ts'
import type { Referrer } from '../../oci/referrers.ts'
import type { ManifestBody } from '../upstream.ts'
import type { UpstreamState } from '../upstream-state.ts'

/**
 * What a warming asks of the mirror: as a client's requests would, and shared with them, but of upstream
 * whatever the tag's age, and behind the clients. What comes is stored when a promise resolves. Throws
 * UpstreamFailure, DigestMismatch, and NoSpace where only what was lately used could make room.
 */
export interface WarmSource {
  /** Why nothing of it can be warmed, if that is so: it is not configured, or offline. */
  refusal(upstream: UpstreamName): string | undefined
  state(upstream: UpstreamName): UpstreamState
  /**
   * What the tag is upstream now, by HEAD; its row moves once that manifest is here. A tag that is held, or
   * that never moves and is here, is as it is here. `undefined`: upstream has no such tag.
   */
  head(repository: Repository, tag: Tag): Promise<Descriptor | undefined>
  /** The same for those who only want to know: the tag's row stays where it is, whatever comes here. */
  look(repository: Repository, tag: Tag): Promise<Descriptor | undefined>
  /** What is here and stored. Asks nobody. */
  held(repository: Repository, digest: Digest): Promise<ManifestBody | undefined>
  /** A pull, as upstreams count them. `undefined`: upstream has no such manifest. */
  fetch(repository: Repository, digest: Digest): Promise<ManifestBody | undefined>
  /** By tag, for when upstream no longer has the digest that it has just named. A pull. */
  fetchTag(repository: Repository, tag: Tag): Promise<ManifestBody | undefined>
  /** `elsewhere`: the bytes are here, and the repository has not been proved to have them. */
  standing(repository: Repository, digest: Digest): Promise<'here' | 'elsewhere' | 'missing'>
  /** Starts or joins a download. `here`: there is nothing to download; `undefined`: upstream has no such blob. */
  download(repository: Repository, blob: Descriptor): Promise<WarmDownload | 'here' | undefined>
  /** What refers to the manifest, as upstream says now: an outage is a failure, and never an empty list. */
  referrers(repository: Repository, subject: Digest): Promise<readonly Referrer[]>
}

export interface WarmDownload {
  /** Bytes so far; fewer than before if upstream had to begin again. */
  received(): number
  /** Settles when it is stored, or has failed. */
  readonly landed: Promise<void>
  /** It is not wanted any more: stops it, unless a client follows it. What has come is kept. */
  abandon(): void
}
