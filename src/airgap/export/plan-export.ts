import type { CarriedBlob, CarriedImage } from '../../core/airgap/carried.ts'
import type { ExportPlan, ExportRequest } from '../../core/airgap/export-api.ts'
import type { HeldAttachment } from '../../core/airgap/held-attachments.ts'
import { heldAttachments } from '../../core/airgap/held-attachments.ts'
import { formatPlatformChoice } from '../../core/airgap/platform-choice.ts'
import type { ImagePart, ImageWalk } from '../../core/airgap/walk-image.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import { mayServe } from '../../core/may-serve.ts'
import { formatImage } from '../../core/maintenance/image-name.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import type { SelectDeps, SelectedImage } from '../../core/maintenance/select-images.ts'
import type { BlobStore, Catalog } from '../../core/ports.ts'
import type { UpstreamEntry } from '../../core/upstream-entry.ts'
import type { Digest } from '../../oci/digest.ts'
import { ManifestMismatch, MAX_MANIFEST_BYTES } from '../../oci/manifest.ts'
import { isIndexType } from '../../oci/media-types.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import { formatPlatform, isWanted, parsePlatform } from '../../oci/platform.ts'
import type { Repository, UpstreamName } from '../../oci/reference.ts'
import { referrersTag } from '../../oci/referrers.ts'
import { subjectOfTag } from '../../oci/signature-tags.ts'
import { chooseImages } from './choose-images.ts'
import { readHeldManifests } from './held-manifests.ts'

export interface PlanDeps extends SelectDeps {
  readonly catalog: Pick<Catalog, 'resolve' | 'manifest' | 'heldReferrers' | 'holding'>
  readonly inventory: Inventory
  readonly store: Pick<BlobStore, 'open' | 'stat'>
  readonly upstreams: ReadonlyMap<UpstreamName, Pick<UpstreamEntry, 'isPublic'>>
}

type PlannedImage = ExportPlan['images'][number]
type Incomplete = ExportPlan['incomplete'][number]

/** One image while it is looked at. */
interface Candidate extends Omit<CarriedImage, 'platforms' | 'pinned'> {
  readonly repository: Repository
}

/** What of the request is here as a whole, and of the rest what is missing. Throws MaintenanceError. */
export async function planExport(
  request: ExportRequest,
  choice: PlatformChoice,
  deps: PlanDeps,
): Promise<ExportPlan> {
  const plan = new Planning(choice, deps)
  const { images, absent } = await chooseImages(request, deps)
  for (const image of images) await plan.add(toCandidate(image), request.referrers)
  const nowhere = absent.map((one) => ({ ...one, missing: [] }))
  return { platforms: formatPlatformChoice(choice), ...plan.finish(nowhere) }
}

/**
 * `elsewhere`: the bytes are here, and nothing says that this repository may give them out; `damaged`: a row
 * says that they are here, and its file does not bear it out.
 */
type PartState = 'here' | 'elsewhere' | 'missing' | 'damaged'

interface Lacking {
  readonly digest: Digest
  readonly state: PartState
}

class Planning {
  readonly #choice: PlatformChoice
  readonly #deps: PlanDeps
  readonly #images = new Map<string, CarriedImage & { readonly digests: readonly Digest[] }>()
  readonly #incomplete = new Map<string, Incomplete>()
  readonly #blobs = new Map<Digest, CarriedBlob>()
  /** Bytes of what is here. */
  readonly #sizes = new Map<Digest, number>()

  constructor(choice: PlatformChoice, deps: PlanDeps) {
    this.#choice = choice
    this.#deps = deps
  }

  async add(candidate: Candidate, withAttachments: boolean): Promise<void> {
    const { image, repository, subject } = candidate
    if (this.#images.has(image) || this.#incomplete.has(image)) return
    // What is attached has no platforms of its own, whatever its index says.
    const walk = await this.#take(candidate, subject === undefined ? this.#choice : 'all')
    if (walk === undefined || !withAttachments) return
    const manifests = walk.parts.filter(({ kind }) => kind === 'manifest')
    const subjects = manifests.map(({ digest }) => digest)
    for (const attachment of await heldAttachments(repository, subjects, this.#deps.catalog)) {
      const attached = toAttached(repository, attachment)
      await this.add(attached, false)
      // A list may name what nobody has asked for. What is here of it comes by itself.
      if (attachment.tag === referrersTag(attachment.subject)) {
        this.#incomplete.delete(attached.image)
      }
    }
  }

  /** Manifests first, then from small to large: so a part has what explains what comes after it. */
  finish(absent: readonly Incomplete[]): Omit<ExportPlan, 'platforms'> {
    const blobs = [...this.#blobs.values()].toSorted(
      (a, b) => Number(b.kind === 'manifest') - Number(a.kind === 'manifest') || a.size - b.size,
    )
    const positions = new Map(blobs.map(({ digest }, position) => [digest, position]))
    const images = [...this.#images.values()].map(({ digests, ...image }): PlannedImage => {
      const parts = digests.map((digest) => positions.get(digest))
      return { ...image, parts: parts.filter((position) => position !== undefined) }
    })
    return { images, blobs, incomplete: [...absent, ...this.#incomplete.values()] }
  }

  async #take(candidate: Candidate, choice: PlatformChoice): Promise<ImageWalk | undefined> {
    const { repository, ...named } = candidate
    const { image, manifest } = named
    const walk = await this.#walk(candidate, choice)
    if (walk === undefined) return undefined
    const unread = new Set(walk.unread.map(({ digest }) => digest))
    const lacking: Lacking[] = []
    for (const part of walk.parts) {
      const state = await this.#stateOf(repository, part, unread.has(part.digest))
      if (state !== 'here') lacking.push({ digest: part.digest, state })
    }
    if (lacking.length > 0 || hasNothingWanted(walk, manifest.mediaType)) {
      const missing = lacking.map(({ digest }) => digest)
      const isDamaged = lacking.some(({ state }) => state === 'damaged')
      const reason = explain(walk, lacking, choice)
      this.#incomplete.set(image, { image, missing, reason, ...(isDamaged && { isDamaged }) })
      return undefined
    }
    const isPinned = await this.#deps.inventory.isPinned(repository, manifest.digest)
    this.#images.set(image, {
      ...named,
      platforms: carriedPlatforms(walk, choice),
      ...(isPinned && { pinned: true }),
      digests: walk.parts.map(({ digest }) => digest),
    })
    for (const part of walk.parts) this.#addBlob(part)
    return walk
  }

  async #walk({ image, manifest }: Candidate, choice: PlatformChoice) {
    try {
      return await walkImage(manifest, choice, readHeldManifests(this.#deps.store))
    } catch (reason) {
      if (!(reason instanceof ManifestMismatch)) throw reason
      const why = `one of its manifests cannot be read: ${reason.message}`
      this.#incomplete.set(image, { image, missing: [], reason: why })
      return undefined
    }
  }

  #addBlob({ digest, mediaType, kind }: ImagePart): void {
    const size = this.#sizes.get(digest)
    const known = this.#blobs.get(digest)
    // The same bytes may be named as a manifest by one image, and as a blob by another.
    if (size === undefined || known?.kind === 'manifest') return
    this.#blobs.set(digest, { digest, mediaType, size, kind })
  }

  /**
   * Only what this repository may give out here: there, all that comes with an image belongs to it. Its row and
   * its file both have to be there: one alone is what an eviction or a crash has left.
   */
  async #stateOf(repository: Repository, part: ImagePart, isUnread: boolean): Promise<PartState> {
    const { digest, kind, size } = part
    const { catalog, store, upstreams } = this.#deps
    const holding = await catalog.holding(repository, digest)
    const { storedSize } = holding
    if (storedSize === undefined) return 'missing'
    const entry = upstreams.get(repository.upstream) ?? { isPublic: false }
    const isOurs =
      kind === 'manifest'
        ? (await catalog.manifest(repository, digest)) !== undefined
        : mayServe(holding, entry)
    if (!isOurs) return 'elsewhere'
    // It may be that what names it is wrong about its size, or that nobody goes so deep.
    if (isUnread)
      return size === storedSize && (await this.#isDamaged(part)) ? 'damaged' : 'missing'
    if (this.#sizes.has(digest)) return 'here'
    const file = await store.stat(digest)
    if (file?.size !== storedSize) return 'damaged'
    this.#sizes.set(digest, storedSize)
    return 'here'
  }

  async #isDamaged(manifest: ImagePart): Promise<boolean> {
    if (manifest.size > MAX_MANIFEST_BYTES) return false
    return (await readHeldManifests(this.#deps.store)(manifest)) === undefined
  }
}

function toCandidate(selected: SelectedImage): Candidate {
  const { image, repository, tag, digest, mediaType, size, checkedAt } = selected
  const subject = tag && subjectOfTag(tag)
  return {
    image,
    repository,
    manifest: { digest, mediaType, size },
    ...(checkedAt !== undefined && { checkedAt }),
    ...(subject !== undefined && { subject }),
  }
}

function toAttached(repository: Repository, attachment: HeldAttachment): Candidate {
  const { manifest, subject, tag, checkedAt } = attachment
  const { digest } = manifest
  const image = formatImage(tag === undefined ? { repository, digest } : { repository, tag })
  return { image, repository, manifest, subject, ...(checkedAt !== undefined && { checkedAt }) }
}

function hasNothingWanted({ parts, unwanted }: ImageWalk, mediaType: string): boolean {
  return isIndexType(mediaType) && unwanted.length > 0 && parts.length === 1
}

/** Such that whoever walks the image again with them comes to the same parts. */
function carriedPlatforms(walk: ImageWalk, choice: PlatformChoice): CarriedImage['platforms'] {
  if (choice === 'all' || walk.unwanted.length === 0) return 'all'
  const kept = walk.parts.flatMap(({ platform }) => {
    const parsed = platform === undefined ? undefined : parsePlatform(platform)
    return parsed === undefined ? [] : [parsed]
  })
  const present = choice.filter((wanted) => kept.some((has) => isWanted(has, [wanted])))
  return present.map(formatPlatform)
}

function explain(walk: ImageWalk, lacking: readonly Lacking[], choice: PlatformChoice): string {
  const wanted = formatPlatformChoice(choice).join(', ')
  if (lacking.length === 0) {
    const has = [...new Set(walk.unwanted.flatMap(({ platform }) => platform ?? []))].join(', ')
    return `it is not for ${wanted}, but for ${has}: name one of these with --platform`
  }
  const damaged = lacking.find(({ state }) => state === 'damaged')
  if (damaged !== undefined) {
    return `${damaged.digest} is damaged here: run \`oci-mirror verify --repair\`, and export again`
  }
  const elsewhere = lacking.filter(({ state }) => state === 'elsewhere').length
  const least = walk.unread.length === 0 ? '' : 'at least '
  const parts = `${least}${lacking.length} of its ${walk.parts.length} parts ${lacking.length === 1 ? 'is' : 'are'} not here`
  const came = `(platforms: ${wanted}${elsewhere === 0 ? '' : `; ${elsewhere} came from other repositories, and nothing proves that this one has them`})`
  return `${parts} ${came}: warm it first, or name the platforms that are here with --platform`
}
