import type { ImagePart } from '../../core/airgap/walk-image.ts'
import type { WarmSource } from '../../core/airgap/warm-source.ts'
import { NoSpace } from '../../core/ports.ts'
import { untilAborted } from '../../core/until-aborted.ts'
import type { ManifestBody } from '../../core/upstream.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import type { Patience } from './patience.ts'
import type { Tally } from './tally.ts'
import { Spared, WarmFailure } from './warm-failure.ts'

interface Deps {
  readonly source: WarmSource
  readonly patience: Patience
  readonly tally: Tally
  /** Tags stay where they are here. */
  readonly dryRun: boolean
  readonly signal: AbortSignal
}

/** Brings single parts here: each once, whatever shares it, and nothing that is here already. */
export class Fetching {
  readonly #deps: Deps
  /** Blobs under way, by upstream and digest. */
  readonly #blobs = new Map<string, Promise<void>>()
  /** Why nothing more can be stored: then nothing more is asked for either. */
  #noRoom: string | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  head(repository: Repository, tag: Tag): Promise<Descriptor | undefined> {
    const { source, patience, dryRun } = this.#deps
    const ask = () => (dryRun ? source.look(repository, tag) : source.head(repository, tag))
    return patience.ask(repository.upstream, ask)
  }

  /** From here, else fetched. `tag`: what to ask for if upstream has the digest no more. */
  async manifest(
    repository: Repository,
    digest: Digest,
    tag?: Tag,
  ): Promise<ManifestBody | undefined> {
    const { source, patience, tally, dryRun } = this.#deps
    const held = await source.held(repository, digest)
    if (held !== undefined) return held
    this.#checkRoom()
    this.#spare(repository)
    const { upstream } = repository
    const byTag = dryRun ? undefined : tag
    const found =
      (await patience.ask(upstream, () => source.fetch(repository, digest))) ??
      (byTag && (await patience.ask(upstream, () => source.fetchTag(repository, byTag))))
    if (found === undefined) return undefined
    tally.expect({ ...found.descriptor, size: found.bytes.length }, repository.upstream)
    tally.arrived(found.descriptor.digest)
    return found
  }

  /** Of these parts, the blobs that are not here; of those, what has to come is in the tally from now on. */
  async missing(
    repository: Repository,
    parts: readonly ImagePart[],
  ): Promise<readonly ImagePart[]> {
    const { source, tally } = this.#deps
    const missing: ImagePart[] = []
    for (const part of parts) {
      if (part.kind === 'manifest') continue
      const standing = await source.standing(repository, part.digest)
      if (standing !== 'here') missing.push(part)
      if (standing === 'missing') tally.expect(part, repository.upstream)
    }
    return missing
  }

  /** Resolves when it is stored, and the repository may serve it. */
  async blob(repository: Repository, part: ImagePart): Promise<void> {
    const key = `${repository.upstream} ${part.digest}`
    // Once another repository of the upstream has it, most need not ask any more.
    for (let running = this.#blobs.get(key); running !== undefined;) {
      // Its failure is told of by the image that it was for.
      await running.catch(() => {})
      running = this.#blobs.get(key)
    }
    this.#checkRoom()
    const { upstream } = repository
    const own = this.#deps.patience.ask(upstream, () => this.#download(repository, part))
    this.#blobs.set(key, own)
    try {
      await own
    } catch (reason) {
      if (reason instanceof NoSpace) this.#noRoom = reason.message
      throw reason
    } finally {
      this.#blobs.delete(key)
    }
  }

  async #download(repository: Repository, part: ImagePart): Promise<void> {
    const { source, tally, signal } = this.#deps
    const download = await source.download(repository, part)
    if (download === undefined) {
      const what = `its registry does not have the blob ${part.digest}`
      throw new WarmFailure(`${what}, which its manifest names`)
    }
    if (download === 'here') {
      tally.arrived(part.digest)
      return
    }
    tally.expect(part, repository.upstream)
    tally.follow(part.digest, () => download.received())
    try {
      await untilAborted(download.landed, signal)
      tally.arrived(part.digest)
    } catch (reason) {
      if (signal.aborted) download.abandon()
      throw reason
    }
  }

  #checkRoom(): void {
    if (this.#noRoom !== undefined) throw new Spared(this.#noRoom)
  }

  #spare({ upstream }: Repository): void {
    const { isSaving, endpoints } = this.#deps.source.state(upstream)
    if (!isSaving) return
    const left = endpoints.map(({ rateLimit }) => rateLimit).find((told) => told !== undefined)
    const pulls = left === undefined ? 'few' : `${left.remaining} of ${left.limit}`
    throw new Spared(
      `${upstream} has ${pulls} pulls left, which \`rateLimit.reserve\` keeps for clients: run it again later`,
    )
  }
}
