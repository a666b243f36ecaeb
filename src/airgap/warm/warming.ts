import { formatPlatformChoice } from '../../core/airgap/platform-choice.ts'
import type {
  WarmedImage,
  WarmedUpstream,
  WarmProgress,
  WarmReport,
  WarmState,
} from '../../core/airgap/warm-api.ts'
import type { WarmSource } from '../../core/airgap/warm-source.ts'
import type { SelectedImage } from '../../core/maintenance/select-images.ts'
import { formatImage } from '../../core/maintenance/image-name.ts'
import type { ImageName } from '../../core/maintenance/image-name.ts'
import type { BlobStore, Clock } from '../../core/ports.ts'
import { UpstreamFailure } from '../../core/upstream-failure.ts'
import type { Digest } from '../../oci/digest.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import type { Repository, UpstreamName } from '../../oci/reference.ts'
import type { Attachments } from './attachments.ts'
import { findAttachments } from './attachments.ts'
import { Fetching } from './fetching.ts'
import { Patience } from './patience.ts'
import { someAtATime } from './some-at-a-time.ts'
import { Tally } from './tally.ts'
import type { Target } from './targets.ts'
import { Spared } from './warm-failure.ts'
import type { Warmed } from './warm-image.ts'
import { warmImage } from './warm-image.ts'

/** How often those who watch are told, in ms. */
const TELL_MS = 250
const NO_ATTACHMENTS: Attachments = { manifests: [], parts: [] }
const NOTHING = { platforms: [], bytes: 0, fetchBytes: 0, attachments: 0, manifests: [] } as const

export interface WarmingPlan {
  readonly targets: readonly Target[]
  readonly choice: PlatformChoice
  readonly referrers: boolean
  readonly dryRun: boolean
  /** Images at a time. */
  readonly jobs: number
  readonly failFast: boolean
}

interface Deps {
  readonly source: WarmSource
  readonly store: Pick<BlobStore, 'space'>
  readonly clock: Clock
}

/** One run over a list of images. What fails is told of in the report, and keeps nothing else from coming. */
export class Warming {
  readonly #plan: WarmingPlan
  readonly #deps: Deps
  readonly #onProgress: (progress: WarmProgress) => void
  readonly #signal: AbortSignal
  readonly #tally: Tally
  readonly #patience: Patience
  readonly #fetching: Fetching
  readonly #results = new Map<Target, WarmedImage>()
  readonly #attachments = new Map<string, Promise<Attachments>>()
  /** Upstreams that have told us to stop, and how. */
  readonly #limited = new Map<UpstreamName, string>()
  readonly #failure = new AbortController()
  /** Of what is here now, for those who pin it. */
  readonly complete: SelectedImage[] = []

  constructor(
    plan: WarmingPlan,
    deps: Deps,
    onProgress: (progress: WarmProgress) => void,
    signal: AbortSignal,
  ) {
    this.#plan = plan
    this.#deps = deps
    this.#onProgress = onProgress
    this.#signal = AbortSignal.any([signal, this.#failure.signal])
    this.#tally = new Tally(plan.targets.length)
    this.#patience = new Patience(deps.clock, this.#signal)
    const { source } = deps
    const shared = { source, patience: this.#patience, tally: this.#tally }
    this.#fetching = new Fetching({ ...shared, dryRun: plan.dryRun, signal: this.#signal })
  }

  /** Rejects with the signal's reason if that aborts. */
  async run(signal: AbortSignal): Promise<WarmReport> {
    const ended = new AbortController()
    void this.#tell(ended.signal)
    try {
      await someAtATime(this.#plan.targets, this.#plan.jobs, (target) => this.#one(target, signal))
    } finally {
      ended.abort()
    }
    return this.#report()
  }

  async #tell(ended: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!ended.aborted) {
      this.#onProgress(this.#tally.progress())
      await clock.sleep(TELL_MS, ended)
    }
  }

  async #one(target: Target, signal: AbortSignal): Promise<void> {
    this.#tally.begin(target.image)
    const { manifests, ...warmed } = await this.#attempt(target)
    signal.throwIfAborted()
    const result: WarmedImage = { ...target.listed, image: target.image, ...warmed }
    this.#results.set(target, result)
    this.#tally.end(result)
    const isComplete = warmed.state === 'held' || warmed.state === 'fetched'
    if (isComplete && !('reason' in target.name)) {
      this.complete.push(...toSelected(target.name, manifests))
    }
    const hasFailed = warmed.state === 'failed' || warmed.state === 'absent'
    if (hasFailed && this.#plan.failFast) {
      this.#failure.abort(new Error(`${target.image} failed, and --fail-fast was given`))
    }
    this.#onProgress(this.#tally.progress(result))
  }

  async #attempt({ name }: Target): Promise<Warmed> {
    if ('reason' in name) return { state: 'failed', reason: name.reason, ...NOTHING }
    const { upstream } = name.repository
    const refusal = this.#deps.source.refusal(upstream)
    if (refusal !== undefined) return { state: 'failed', reason: refusal, ...NOTHING }
    try {
      this.#signal.throwIfAborted()
      const limited = this.#limited.get(upstream)
      if (limited !== undefined) throw new Spared(limited)
      const { choice, dryRun } = this.#plan
      return await warmImage(name, {
        choice,
        dryRun,
        fetching: this.#fetching,
        tally: this.#tally,
        attachments: (repository, subjects) => this.#attached(repository, subjects),
      })
    } catch (reason) {
      // Each image's failure is its own: it is in the report, with its reason.
      const said = reason instanceof Error ? reason.message : String(reason)
      if (reason instanceof UpstreamFailure && reason.kind === 'rate-limited') {
        this.#limited.set(upstream, `${upstream} limits us, and is left alone: ${said}`)
      }
      const isSkipped = reason instanceof Spared || this.#signal.aborted
      return { state: isSkipped ? 'skipped' : 'failed', reason: said, ...NOTHING }
    }
  }

  /** Several tags may be one image. */
  #attached(repository: Repository, subjects: readonly Digest[]): Promise<Attachments> {
    if (!this.#plan.referrers) return Promise.resolve(NO_ATTACHMENTS)
    const key = formatImage({ repository, ...(subjects[0] && { digest: subjects[0] }) })
    const { source } = this.#deps
    const deps = { source, patience: this.#patience, fetching: this.#fetching }
    const known = this.#attachments.get(key) ?? findAttachments(repository, subjects, deps)
    this.#attachments.set(key, known)
    return known
  }

  async #report(): Promise<WarmReport> {
    const { targets, dryRun, choice } = this.#plan
    const images = targets.flatMap((target) => this.#results.get(target) ?? [])
    // A disk that does not tell is no reason to tell nothing.
    const space = await this.#deps.store.space().catch(() => undefined)
    return {
      dryRun,
      platforms: formatPlatformChoice(choice),
      images,
      upstreams: this.#upstreams(),
      fetch: {
        ...this.#tally.sum(),
        unsharedBytes: images.reduce((sum, { fetchBytes }) => sum + fetchBytes, 0),
      },
      ...(space && { free: space.free }),
    }
  }

  #upstreams(): readonly WarmedUpstream[] {
    const all = new Map<UpstreamName, WarmedImage[]>()
    for (const [{ name }, result] of this.#results) {
      if ('reason' in name) continue
      const { upstream } = name.repository
      all.set(upstream, [...(all.get(upstream) ?? []), result])
    }
    return [...all]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([upstream, own]) => ({
        upstream,
        images: own.length,
        held: countOf(own, 'held'),
        fetchBytes: this.#tally.sum(upstream).bytes,
        attachments: own.reduce((sum, { attachments }) => sum + attachments, 0),
        ...this.#rateLimit(upstream),
      }))
  }

  #rateLimit(upstream: UpstreamName): Pick<WarmedUpstream, 'rateLimit'> {
    const { source } = this.#deps
    if (source.refusal(upstream) !== undefined) return {}
    const told = source.state(upstream).endpoints.flatMap(({ rateLimit }) => rateLimit ?? [])
    const [first] = told
    return first === undefined
      ? {}
      : { rateLimit: { remaining: first.remaining, limit: first.limit } }
  }
}

function toSelected(name: ImageName, manifests: Warmed['manifests']): readonly SelectedImage[] {
  const { repository } = name
  return manifests.map((manifest, index) => ({
    ...manifest,
    repository,
    image: formatImage(index === 0 ? name : { repository, digest: manifest.digest }),
  }))
}

function countOf(images: readonly WarmedImage[], state: WarmState): number {
  return images.filter((image) => image.state === state).length
}
