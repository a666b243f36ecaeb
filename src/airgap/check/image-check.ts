import type { CheckedImage } from '../../core/airgap/check-api.ts'
import type { HeldAttachment } from '../../core/airgap/held-attachments.ts'
import { heldAttachments } from '../../core/airgap/held-attachments.ts'
import { formatPlatformChoice } from '../../core/airgap/platform-choice.ts'
import type { ImagePart, ImageWalk } from '../../core/airgap/walk-image.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import { mayServe } from '../../core/may-serve.ts'
import type { UpstreamEntry } from '../../core/upstream-entry.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import { ManifestMismatch } from '../../oci/manifest.ts'
import { isIndexType } from '../../oci/media-types.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import { formatPlatform, isWanted, parsePlatform } from '../../oci/platform.ts'
import type { Repository } from '../../oci/reference.ts'
import { referrersTag } from '../../oci/referrers.ts'
import { readHeldManifests } from '../export/held-manifests.ts'
import type { CheckDeps } from './check-images.ts'
import { isSignature } from './is-signature.ts'

/** `unproved`: the bytes are here, but nothing says that this repository may give them out. */
type PartState = 'here' | 'unproved' | 'missing'

interface Examined {
  readonly walk: ImageWalk
  readonly lacking: readonly (ImagePart & { readonly state: PartState })[]
}

type Verdict = Omit<CheckedImage, 'image' | 'reference' | 'from' | 'digest' | 'checkedAt'>

/** Whether an image could be given out with no upstream. */
export class ImageCheck {
  readonly #repository: Repository
  readonly #entry: Pick<UpstreamEntry, 'isPublic'>
  readonly #deps: Pick<CheckDeps, 'catalog' | 'store'>
  readonly #states = new Map<Digest, PartState>()

  constructor(
    repository: Repository,
    entry: Pick<UpstreamEntry, 'isPublic'>,
    deps: Pick<CheckDeps, 'catalog' | 'store'>,
  ) {
    this.#repository = repository
    this.#entry = entry
    this.#deps = deps
  }

  async run(manifest: Descriptor, choice: PlatformChoice, signatures: boolean): Promise<Verdict> {
    const { digest, mediaType, size } = manifest
    const image = await this.#examine({ digest, mediaType, size }, choice)
    if (image instanceof ManifestMismatch) return unreadable(image)
    const { walk } = image
    const attachments = await this.#attachments(walk)
    const lacking = unique([image, ...attachments].flatMap((one) => one.lacking))
    const children = walk.parts.filter((part) => isChildOf(part, digest))
    const isNoneWanted = isIndexType(mediaType) && walk.unwanted.length > 0 && children.length === 0
    const isSigned = !signatures || isSignedBy(attachments, digest, children)
    return {
      state: stateOf(lacking, digest, isNoneWanted, isSigned),
      platforms: await this.#platforms(children),
      unknownPlatforms: isIndexType(mediaType) ? unknownPlatforms(walk, choice) : [],
      missing: {
        blobs: lacking.length,
        bytes: lacking.reduce((sum, part) => sum + part.size, 0),
        digests: lacking.map((part) => part.digest),
        isMore: lacking.some(({ kind, state }) => kind === 'manifest' && state === 'missing'),
      },
      attachments: attachments.length,
      ...explain(image, lacking, isNoneWanted, isSigned, choice),
    }
  }

  async #examine(
    manifest: Descriptor,
    choice: PlatformChoice,
  ): Promise<Examined | ManifestMismatch> {
    try {
      const walk = await walkImage(manifest, choice, readHeldManifests(this.#deps.store))
      const unread = new Set(walk.unread.map(({ digest }) => digest))
      const lacking: (ImagePart & { readonly state: PartState })[] = []
      for (const part of walk.parts) {
        const state = unread.has(part.digest) ? 'missing' : await this.#stateOf(part)
        if (state !== 'here') lacking.push({ ...part, state })
      }
      return { walk, lacking }
    } catch (reason) {
      // Nobody can pull it, which is an answer to the question.
      if (reason instanceof ManifestMismatch) return reason
      throw reason
    }
  }

  async #stateOf({ digest, kind }: ImagePart): Promise<PartState> {
    const known = this.#states.get(digest)
    if (known !== undefined) return known
    const { catalog } = this.#deps
    const holding = await catalog.holding(this.#repository, digest)
    const isOurs =
      kind === 'manifest'
        ? (await catalog.manifest(this.#repository, digest)) !== undefined
        : mayServe(holding, this.#entry)
    const state = holding.storedSize === undefined ? 'missing' : isOurs ? 'here' : 'unproved'
    this.#states.set(digest, state)
    return state
  }

  /** What is attached to it, whole or not. */
  async #attachments({ parts }: ImageWalk): Promise<readonly (HeldAttachment & Examined)[]> {
    const manifests = parts.filter(({ kind }) => kind === 'manifest')
    const subjects = manifests.map(({ digest }) => digest)
    const held = await heldAttachments(this.#repository, subjects, this.#deps.catalog)
    const examined: (HeldAttachment & Examined)[] = []
    for (const attachment of held) {
      // Of a list, what is here comes up by itself, and nobody is given the rest.
      if (attachment.tag === referrersTag(attachment.subject)) continue
      const found = await this.#examine(attachment.manifest, 'all')
      if (found instanceof ManifestMismatch) continue
      examined.push({ ...attachment, ...found })
    }
    return examined
  }

  async #platforms(children: readonly ImagePart[]): Promise<CheckedImage['platforms']> {
    const platforms = new Map<string, boolean>()
    for (const { platform = '', ...manifest } of children) {
      const found = await this.#examine(manifest, 'all')
      const isComplete = !(found instanceof ManifestMismatch) && found.lacking.length === 0
      platforms.set(platform, isComplete && platforms.get(platform) !== false)
    }
    return [...platforms].map(([platform, complete]) => ({ platform, complete }))
  }
}

function unreadable({ message }: ManifestMismatch): Verdict {
  const missing = { blobs: 0, bytes: 0, digests: [], isMore: false }
  const reason = `one of its manifests cannot be read: ${message}`
  const nothing = { platforms: [], unknownPlatforms: [], missing, attachments: 0 }
  return { ...nothing, state: 'incomplete', reason }
}

function isChildOf({ kind, platform, digest }: ImagePart, root: Digest): boolean {
  return kind === 'manifest' && platform !== undefined && digest !== root
}

function unique<Part extends ImagePart>(parts: readonly Part[]): readonly Part[] {
  return [...new Map(parts.map((part) => [part.digest, part])).values()]
}

/** The image itself is signed, or each of its wanted platforms is. */
function isSignedBy(
  attachments: readonly (HeldAttachment & Examined)[],
  root: Digest,
  children: readonly ImagePart[],
): boolean {
  const whole = attachments.filter((one) => isSignature(one) && one.lacking.length === 0)
  const signed = new Set(whole.map(({ subject }) => subject))
  if (signed.has(root)) return true
  return children.length > 0 && children.every(({ digest }) => signed.has(digest))
}

function unknownPlatforms({ parts, unwanted }: ImageWalk, choice: PlatformChoice): string[] {
  if (choice === 'all') return []
  const has = [...parts, ...unwanted].flatMap(({ platform }) => {
    const parsed = platform === undefined ? undefined : parsePlatform(platform)
    return parsed === undefined ? [] : [parsed]
  })
  return choice.filter((one) => !has.some((two) => isWanted(two, [one]))).map(formatPlatform)
}

function stateOf(
  lacking: readonly ImagePart[],
  root: Digest,
  isNoneWanted: boolean,
  isSigned: boolean,
): CheckedImage['state'] {
  if (lacking.some(({ digest }) => digest === root)) return 'absent'
  if (lacking.length > 0 || isNoneWanted) return 'incomplete'
  return isSigned ? 'complete' : 'unsigned'
}

function explain(
  { walk }: Examined,
  lacking: Examined['lacking'],
  isNoneWanted: boolean,
  isSigned: boolean,
  choice: PlatformChoice,
): { readonly reason?: string } {
  if (isNoneWanted) {
    const has = [...new Set(walk.unwanted.flatMap(({ platform }) => platform ?? []))].join(', ')
    return { reason: `it is not for ${formatPlatformChoice(choice).join(', ')}, but for ${has}` }
  }
  const unproved = lacking.filter(({ state }) => state === 'unproved').length
  if (unproved > 0) {
    const why = `${unproved} of its parts came from elsewhere, and nothing proves that this repository has them`
    return { reason: `${why}: warm it once` }
  }
  if (lacking.length > 0) return { reason: 'parts of it are not here: warm it, or import it' }
  if (isSigned) return {}
  return { reason: 'no signature of it is here, nor of each of its platforms' }
}
