import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import { formatRepository, parseTag } from '../../oci/reference.ts'
import type { Catalog } from '../ports.ts'
import type { Naming } from './image-name.ts'
import { formatImage, isGlob, nameHeld, parseImageName } from './image-name.ts'
import type { Inventory } from './inventory.ts'
import { MaintenanceError } from './maintenance-error.ts'

/** An image that is here. `tag` is absent if it was named by its digest. */
export interface SelectedImage {
  readonly image: string
  readonly repository: Repository
  readonly tag?: Tag
  readonly digest: Digest
  readonly mediaType: string
  /** Of the manifest, in bytes. */
  readonly size: number
  readonly checkedAt?: number
}

export interface SelectDeps {
  readonly catalog: Pick<Catalog, 'resolve' | 'manifest'>
  readonly inventory: Inventory
  readonly naming: Naming
}

const LATEST = parseTag('latest') as Tag
/** More than anyone means by one glob. */
const MAX_MATCHES = 10_000
const SHOWN = 5

/**
 * Finds every image before anything is done with one of them. A glob has to mean a single image, unless
 * `all` is set. Throws MaintenanceError.
 */
export async function selectImages(
  references: readonly string[],
  all: boolean,
  deps: SelectDeps,
): Promise<readonly SelectedImage[]> {
  const selected = new Map<string, SelectedImage>()
  for (const text of references) {
    const names = isGlob(text) ? await expand(text, all, deps) : [text]
    for (const name of names) {
      const image = await selectImage(name, deps)
      selected.set(image.image, image)
    }
  }
  return [...selected.values()]
}

/** No tag means `latest`, and a digest goes before a tag, as with every client. Throws MaintenanceError. */
export async function selectImage(text: string, deps: SelectDeps): Promise<SelectedImage> {
  if (isGlob(text)) {
    const [only = text] = await expand(text, false, deps)
    return selectImage(only, deps)
  }
  const { repository, tag = LATEST, digest } = parseImageName(text, deps.naming)
  if (digest !== undefined) {
    const image = formatImage({ repository, digest })
    const manifest = await deps.catalog.manifest(repository, digest)
    if (manifest === undefined) throw await unknown(image, repository, deps)
    return { ...manifest, image, repository }
  }
  const image = formatImage({ repository, tag })
  const row = await deps.catalog.resolve(repository, tag)
  if (row === undefined) throw await unknown(image, repository, deps)
  return { ...row.manifest, image, repository, tag, checkedAt: row.checkedAt }
}

async function expand(
  glob: string,
  all: boolean,
  { inventory }: SelectDeps,
): Promise<readonly string[]> {
  const found = await inventory.images(glob, '', all ? MAX_MATCHES + 1 : SHOWN + 1)
  const names = found.map(nameHeld)
  if (names.length === 0) {
    const hint = 'globs are compared with full names such as docker.io/library/alpine:3 (see `ls`)'
    throw new MaintenanceError('unknown', `nothing here matches ${glob}: ${hint}`)
  }
  if (names.length > MAX_MATCHES) {
    throw new MaintenanceError(
      'ambiguous',
      `${glob} matches more than ${MAX_MATCHES} images: divide it`,
    )
  }
  if (names.length === 1 || all) return names
  const shown = names.slice(0, SHOWN).join(', ')
  const more = names.length > SHOWN ? ' and others' : ''
  throw new MaintenanceError(
    'ambiguous',
    `${glob} matches ${shown}${more}: name the one you mean, or use --all where the command has it`,
  )
}

async function unknown(
  image: string,
  repository: Repository,
  { inventory }: SelectDeps,
): Promise<MaintenanceError> {
  const tags = await inventory.tagsOf(repository, SHOWN + 1)
  const name = formatRepository(repository)
  if (tags.length === 0) {
    return new MaintenanceError(
      'unknown',
      `${image} is not here, and nothing else of ${name}: see \`ls\`, or pull it first`,
    )
  }
  const shown = tags.slice(0, SHOWN).join(', ')
  const more = tags.length > SHOWN ? `, … (see \`ls ${name}:*\`)` : ''
  return new MaintenanceError(
    'unknown',
    `${image} is not here; of ${name} there is ${shown}${more}: choose one, or pull it first`,
  )
}
