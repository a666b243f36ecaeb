import type { HeldPart } from '../../core/airgap/import-catalog.ts'
import type { Digest } from '../../oci/digest.ts'
import type { UpstreamName } from '../../oci/reference.ts'

/** Digests of all sessions that are under way, 100 bytes each: then the oldest session has to begin again. */
const MAX_SHOWN = 300_000

/**
 * Whether an import may give a repository a blob that is here. Whoever writes a bundle can name any digest in
 * it, so a name proves nothing: the blob has to have been in the import, or to be readable by everyone anyway.
 * Otherwise a bundle could make one repository's private layers readable by another.
 */
export class Ownership {
  readonly #isPublic: (upstream: UpstreamName) => boolean
  readonly #shown = new Map<string, Set<Digest>>()

  constructor(isPublic: (upstream: UpstreamName) => boolean) {
    this.#isPublic = isPublic
  }

  /** The operator has just given us the bytes, for this import. */
  show(session: string, digest: Digest): void {
    const shown = this.#shown.get(session) ?? new Set<Digest>()
    this.#shown.set(session, shown.add(digest))
    const total = [...this.#shown.values()].reduce((sum, { size }) => sum + size, 0)
    const [oldest] = this.#shown.keys()
    if (total > MAX_SHOWN && oldest !== undefined) this.#shown.delete(oldest)
  }

  /** It has been committed. */
  end(session: string): void {
    this.#shown.delete(session)
  }

  /** `bundle` is the id of the one that the image comes in: what an earlier run of it brought is its own. */
  mayGive(
    digest: Digest,
    { isLinked, broughtBy, upstreams }: HeldPart,
    { bundle, session }: { readonly bundle?: string; readonly session?: string },
  ): boolean {
    if (isLinked || upstreams.some(this.#isPublic)) return true
    if (broughtBy !== undefined && broughtBy === bundle) return true
    return session !== undefined && this.#shown.get(session)?.has(digest) === true
  }
}
