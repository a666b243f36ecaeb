import type { CheckedImage, CheckReport, CheckRequest } from '../../core/airgap/check-api.ts'
import type { WarmDefaults } from '../../core/airgap/platform-choice.ts'
import { formatPlatformChoice, readPlatformChoice } from '../../core/airgap/platform-choice.ts'
import type { ListedReference } from '../../core/airgap/warm-api.ts'
import { formatImage, parseImageName } from '../../core/maintenance/image-name.ts'
import type { Naming } from '../../core/maintenance/image-name.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { SelectedImage } from '../../core/maintenance/select-images.ts'
import { selectImage } from '../../core/maintenance/select-images.ts'
import type { BlobStore, Catalog, Clock } from '../../core/ports.ts'
import type { UpstreamEntry } from '../../core/upstream-entry.ts'
import type { PlatformChoice } from '../../oci/platform.ts'
import type { UpstreamName } from '../../oci/reference.ts'
import { ImageCheck } from './image-check.ts'

export interface CheckDeps {
  readonly catalog: Pick<Catalog, 'resolve' | 'manifest' | 'holding' | 'heldReferrers'>
  readonly store: Pick<BlobStore, 'open'>
  readonly inventory: Inventory
  readonly naming: Naming
  readonly upstreams: ReadonlyMap<UpstreamName, Pick<UpstreamEntry, 'isPublic'>>
  readonly warmDefaults: WarmDefaults
  readonly clock: Clock
}

type Verdict = Omit<CheckedImage, keyof ListedReference>

const NOTHING = {
  platforms: [],
  unknownPlatforms: [],
  missing: { blobs: 0, bytes: 0, digests: [], isMore: false },
  attachments: 0,
} as const

/** Each image once, however often it is listed. Throws MaintenanceError for platforms that are none. */
export async function checkImages(request: CheckRequest, deps: CheckDeps): Promise<CheckReport> {
  const choice = readPlatformChoice(request.platforms ?? deps.warmDefaults.platforms)
  const images = new Map<string, CheckedImage>()
  for (const listed of request.images) {
    const { reference } = listed
    const name = fullName(reference, deps.naming)
    if (name instanceof MaintenanceError) {
      const reason = name.message
      images.set(reference, { ...listed, ...NOTHING, image: reference, state: 'invalid', reason })
    } else if (!images.has(name)) {
      images.set(name, { ...listed, ...(await checkImage(name, choice, request, deps)) })
    }
  }
  const all = [...images.values()]
  const complete = all.filter(({ state }) => state === 'complete').length
  return { platforms: formatPlatformChoice(choice), images: all, complete }
}

/** With `:latest` where nothing else is said. */
function fullName(reference: string, naming: Naming): string | MaintenanceError {
  try {
    const name = parseImageName(reference, naming)
    const text = formatImage(name)
    return name.tag === undefined && name.digest === undefined ? `${text}:latest` : text
  } catch (reason) {
    // What somebody wrote and is no image is a line of the report, among others.
    if (reason instanceof MaintenanceError) return reason
    throw reason
  }
}

async function checkImage(
  image: string,
  choice: PlatformChoice,
  { signatures }: CheckRequest,
  deps: CheckDeps,
): Promise<Verdict> {
  const selected = await find(image, deps)
  if (selected instanceof MaintenanceError) {
    return { ...NOTHING, image, state: 'absent', reason: selected.message }
  }
  const { repository, digest, checkedAt } = selected
  const found = { image, digest, ...(checkedAt !== undefined && { checkedAt }) }
  const entry = deps.upstreams.get(repository.upstream)
  if (entry === undefined) {
    const reason = `${repository.upstream} is not an upstream of this mirror, which serves nothing of it`
    return { ...NOTHING, ...found, state: 'incomplete', reason }
  }
  const check = new ImageCheck(repository, entry, deps)
  return { ...found, ...(await check.run(selected, choice, signatures)) }
}

async function find(image: string, deps: CheckDeps): Promise<SelectedImage | MaintenanceError> {
  try {
    return await selectImage(image, deps)
  } catch (reason) {
    // That it is not here is what was asked.
    if (reason instanceof MaintenanceError) return reason
    throw reason
  }
}
