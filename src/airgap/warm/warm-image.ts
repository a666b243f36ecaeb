import type { ImagePart, ImageWalk } from '../../core/airgap/walk-image.ts'
import { walkImage } from '../../core/airgap/walk-image.ts'
import type { WarmedImage } from '../../core/airgap/warm-api.ts'
import type { ImageName } from '../../core/maintenance/image-name.ts'
import { formatImage } from '../../core/maintenance/image-name.ts'
import type { ManifestBody } from '../../core/upstream.ts'
import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import { formatPlatform, isWanted, parsePlatform } from '../../oci/platform.ts'
import type { Repository } from '../../oci/reference.ts'
import type { Attachments } from './attachments.ts'
import type { Fetching } from './fetching.ts'
import { someAtATime } from './some-at-a-time.ts'
import type { Tally } from './tally.ts'
import { WarmFailure } from './warm-failure.ts'

/** Of one image at a time. */
const BLOBS_AT_A_TIME = 3

interface Run {
  readonly choice: PlatformChoice
  readonly dryRun: boolean
  readonly fetching: Fetching
  readonly tally: Tally
  /** None where they are not wanted. */
  attachments(repository: Repository, subjects: readonly Digest[]): Promise<Attachments>
}

export type Warmed = Omit<WarmedImage, 'image' | 'reference' | 'from'> & {
  /** What a pin of it has to hold: the image first, then what is attached to it. */
  readonly manifests: readonly Descriptor[]
}

/** Brings one image here, with all that belongs to it, or finds out what that would take. Throws. */
export async function warmImage(name: ImageName, run: Run): Promise<Warmed> {
  const { repository } = name
  const { fetching, tally, choice, dryRun } = run
  const root = await findRoot(name, fetching)
  if (root.body === undefined) return absent(root.reason)
  const { descriptor } = root.body
  const walk = await walkImage(descriptor, choice, (part) => read(part, repository, fetching))
  if (walk.unread.length > 0) throw new WarmFailure('its indexes name indexes too deep to follow')
  const platforms = platformsOf(walk)
  const lack = lackOf(walk, platforms, choice)
  const subjects = walk.parts.filter(({ kind }) => kind === 'manifest').map(({ digest }) => digest)
  const attachments = await run.attachments(repository, subjects)
  const parts = once([...walk.parts, ...attachments.parts])
  const missing = await fetching.missing(repository, parts)
  if (!dryRun) {
    await someAtATime(missing, BLOBS_AT_A_TIME, (part) => fetching.blob(repository, part))
  }
  const fetched = parts.filter(({ digest }) => tally.isNew(digest))
  const notes = [root.reason, lack].filter((note) => note !== undefined)
  return {
    state: dryRun
      ? missing.length > 0
        ? 'planned'
        : 'held'
      : fetched.length > 0
        ? 'fetched'
        : 'held',
    digest: descriptor.digest,
    platforms,
    bytes: sizeOf(parts),
    fetchBytes: sizeOf(fetched),
    attachments: attachments.manifests.length,
    ...(notes.length > 0 && { reason: notes.join('; ') }),
    manifests: [descriptor, ...attachments.manifests],
  }
}

interface Root {
  /** `undefined`: its registry does not have it. */
  readonly body: ManifestBody | undefined
  readonly reason?: string
}

/** A digest goes before a tag, as with every client; the tag then has to say so too to be kept. */
async function findRoot(name: ImageName, fetching: Fetching): Promise<Root> {
  const { repository, tag, digest } = name
  const image = formatImage(name)
  if (digest !== undefined) {
    const body = await fetching.manifest(repository, digest)
    if (body === undefined) return { body, reason: doesNotExist(image) }
    const note = tag && (await findTagNote({ ...name, tag, digest }, fetching))
    return { body, ...(note !== undefined && { reason: note }) }
  }
  if (tag === undefined) throw new WarmFailure(`${image} names neither a tag nor a digest`)
  const descriptor = await fetching.head(repository, tag)
  const body = descriptor && (await fetching.manifest(repository, descriptor.digest, tag))
  return body === undefined ? { body, reason: doesNotExist(image) } : { body }
}

/** Asking is what records the tag, if it is what was pinned. Whatever comes of it, the digest is here. */
async function findTagNote(
  { repository, tag, digest }: Required<ImageName>,
  fetching: Fetching,
): Promise<string | undefined> {
  const name = formatImage({ repository, tag })
  try {
    const now = await fetching.head(repository, tag)
    if (now?.digest === digest) return undefined
    const isNow = now === undefined ? 'is gone' : `is ${now.digest} by now`
    return `${name} ${isNow}, and so is not here by its tag (\`hold\` keeps it at a digest)`
  } catch (reason) {
    // Only the tag could not be asked about; a warming that was stopped is found out at the next step.
    return `${name} could not be checked: ${reason instanceof Error ? reason.message : String(reason)}`
  }
}

async function read(
  { digest, platform }: ImagePart | (Descriptor & { readonly platform?: string }),
  repository: Repository,
  fetching: Fetching,
): Promise<Uint8Array> {
  const body = await fetching.manifest(repository, digest)
  if (body !== undefined) return body.bytes
  const what = platform === undefined ? digest : `${digest} (${platform})`
  throw new WarmFailure(`its index names ${what}, which its registry does not have`)
}

function platformsOf(walk: ImageWalk): WarmedImage['platforms'] {
  return walk.parts.flatMap(({ kind, platform, digest }) =>
    kind === 'manifest' && platform !== undefined ? [{ platform, digest }] : [],
  )
}

/** Wanted platforms that the image does not have. Throws if it has none of them. */
function lackOf(
  { unwanted }: ImageWalk,
  kept: WarmedImage['platforms'],
  choice: PlatformChoice,
): string | undefined {
  const others = unwanted.flatMap(({ platform }) => (platform === undefined ? [] : [platform]))
  if (choice === 'all' || kept.length + others.length === 0) return undefined
  const has = kept.flatMap(({ platform }) => parsePlatform(platform) ?? [])
  const lacking = choice.filter((wanted) => !has.some((one) => isWanted(one, [wanted])))
  const names = lacking.map(formatPlatform).join(', ')
  if (kept.length > 0) return lacking.length === 0 ? undefined : `there is none for ${names}`
  throw new WarmFailure(`there is none for ${names}, only for ${[...new Set(others)].join(', ')}`)
}

function absent(reason = ''): Warmed {
  const nothing = { platforms: [], bytes: 0, fetchBytes: 0, attachments: 0, manifests: [] }
  return { state: 'absent', reason, ...nothing }
}

function doesNotExist(image: string): string {
  return `${image} does not exist: its registry says so`
}

function once(parts: readonly ImagePart[]): readonly ImagePart[] {
  return [...new Map(parts.map((part) => [part.digest, part])).values()]
}

function sizeOf(parts: readonly ImagePart[]): number {
  return parts.reduce((sum, { size }) => sum + size, 0)
}
