import type { ExportRequest } from '../../core/airgap/export-api.ts'
import { formatImage, nameHeld } from '../../core/maintenance/image-name.ts'
import type { HeldImage, ServedImage } from '../../core/maintenance/inventory.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { SelectDeps, SelectedImage } from '../../core/maintenance/select-images.ts'
import { selectImages } from '../../core/maintenance/select-images.ts'
import type { Tag } from '../../oci/reference.ts'
import { subjectOfTag } from '../../oci/signature-tags.ts'
import { heldImages } from '../check/held-images.ts'

/** ms since the epoch; 0 is what was never asked for. */
const EVER = 1

export interface ChosenImages {
  readonly images: readonly SelectedImage[]
  readonly absent: readonly { readonly image: string; readonly reason: string }[]
}

/** What the request names, each once. What is not here, or is no reference, is told and costs the others nothing. */
export async function chooseImages(
  request: ExportRequest,
  deps: SelectDeps,
): Promise<ChosenImages> {
  const images = new Map<string, SelectedImage>()
  const absent: ChosenImages['absent'][number][] = []
  for (const reference of request.references) {
    try {
      const found = await selectImages([reference], true, deps)
      const named = found.filter(({ tag }) => !isAttached(tag))
      // Unless nothing but that was asked for.
      for (const image of named.length === 0 ? found : named) images.set(image.image, image)
    } catch (reason) {
      if (!(reason instanceof MaintenanceError)) throw reason
      absent.push({ image: reference, reason: reason.message })
    }
  }
  for await (const image of chooseHeld(request, deps)) images.set(image.image, image)
  return { images: [...images.values()], absent }
}

/** By what has become of them, not by their names. */
async function* chooseHeld(
  { all, pinned, usedSince }: ExportRequest,
  deps: SelectDeps,
): AsyncGenerator<SelectedImage> {
  const { inventory } = deps
  if (all || pinned) {
    for await (const held of heldImages(inventory)) {
      if (!isAttached(held.tag) && (all || held.isPinned)) yield toSelected(held)
    }
  }
  if (all) yield* chooseUntagged(deps)
  for (const served of usedSince === undefined ? [] : await inventory.served(usedSince)) {
    if ('tag' in served && isAttached(served.tag)) continue
    const image = await findServed(served, deps)
    if (image !== undefined) yield image
  }
}

/**
 * What is known by its digest only, as long as it is here: nobody expects what was evicted. What a tag has left
 * behind is not taken, unless somebody has asked for it by its digest.
 */
async function* chooseUntagged(deps: SelectDeps): AsyncGenerator<SelectedImage> {
  const { inventory } = deps
  const untagged = await inventory.untagged()
  const served = await inventory.served(EVER)
  const named = [...untagged.filter(({ wasTagged }) => !wasTagged), ...served]
  for (const one of named) {
    if ('tag' in one || (await inventory.blob(one.digest)) === undefined) continue
    const image = await findServed(one, deps)
    if (image !== undefined) yield image
  }
}

/** `undefined`: dropped meanwhile. */
async function findServed(
  served: ServedImage,
  { catalog }: SelectDeps,
): Promise<SelectedImage | undefined> {
  const { repository } = served
  const image = formatImage(served)
  if ('digest' in served) {
    const manifest = await catalog.manifest(repository, served.digest)
    return manifest && { ...manifest, image, repository }
  }
  const { tag } = served
  const row = await catalog.resolve(repository, tag)
  return row && { ...row.manifest, image, repository, tag, checkedAt: row.checkedAt }
}

/** A signature comes with what it signs, or not at all. */
function isAttached(tag: Tag | undefined): boolean {
  return tag !== undefined && subjectOfTag(tag) !== undefined
}

function toSelected(held: HeldImage): SelectedImage {
  const { repository, tag, manifest, checkedAt } = held
  return {
    ...manifest,
    image: nameHeld(held),
    repository,
    ...(tag !== undefined && { tag }),
    ...(checkedAt !== undefined && { checkedAt }),
  }
}
