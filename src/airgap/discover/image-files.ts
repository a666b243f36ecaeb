import type { Claim } from './claim.ts'
import { fullName } from './full-name.ts'
import type { Tree } from './tree.ts'
import { entriesAt, itemsAt, pathTo, scalarAt, textAt } from './tree.ts'

/** What other tools keep lists of images in, by `kind`. */
export const IMAGE_FILES: ReadonlyMap<string, (document: Tree, claim: Claim) => void> = new Map([
  ['ImagesLock', findInImgpkg],
  ['BundleLock', findInImgpkg],
  ['ZarfPackageConfig', findInZarf],
  ['ImageSetConfiguration', findInImageSet],
  ['Images', findInHauler],
])

/** Its annotations repeat the images by the tags that they had. */
function findInImgpkg(document: Tree, claim: Claim): void {
  addEach(document, ['images'], 'image', claim)
  claim.found(scalarAt(document, 'bundle', 'image'), 'bundle.image')
  claim.take(document)
}

/** hauler's. Its annotation says where those come from that name no registry. */
function findInHauler(document: Tree, claim: Claim): void {
  const registry = textAt(document, 'metadata', 'annotations', 'hauler.dev/registry')
  for (const [index, item] of itemsAt(document, 'spec', 'images').entries()) {
    const name = scalarAt(item, 'name')
    const text = textAt(name)
    const [first = '', ...rest] = text.split('/')
    const namesRegistry = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
    const isBare = registry !== '' && text !== '' && !namesRegistry
    claim.found(name, `spec.images[${index}].name`, isBare ? `${registry}/${text}` : text)
  }
}

function findInZarf(document: Tree, claim: Claim): void {
  for (const [index, component] of itemsAt(document, 'components').entries()) {
    addEach(component, ['images'], 'name', claim, `components[${index}]`)
    if (itemsAt(component, 'charts').length + itemsAt(component, 'manifests').length > 0) {
      claim.note('it names charts or manifests, too: what they need counts if `images` lists it')
    }
  }
}

/** oc-mirror's. What its catalogs and releases come to, only it can tell. */
function findInImageSet(document: Tree, claim: Claim): void {
  addEach(document, ['mirror', 'additionalImages'], 'name', claim)
  const others = entriesAt(document, 'mirror').flatMap(([key]) =>
    ['platform', 'operators', 'helm'].includes(key) ? [key] : [],
  )
  if (others.length === 0) return
  claim.note(`it names ${others.join(', ')}, too: let \`oc-mirror --dry-run\` list those images`)
}

/**
 * A list of images: texts, or maps that have one under `image` or `reference`, with its digest beside it in
 * a lock file or an inventory of ours.
 */
export function isImageList(document: Tree): boolean {
  const items = itemsAt(document, 'images')
  return items.length > 0 && items.every((item) => isImageEntry(item))
}

function isImageEntry(item: Tree): boolean {
  const text = textAt(item.kind === 'scalar' ? item : nameIn(item))
  return /[/:@]/.test(text) && fullName(text) !== undefined
}

export function findInImageList(document: Tree, claim: Claim): void {
  for (const [index, item] of itemsAt(document, 'images').entries()) {
    const name = item.kind === 'scalar' ? item : nameIn(item)
    const text = textAt(name)
    const digest = textAt(item, 'digest')
    const isPinned = digest === '' || text.includes('@')
    claim.found(name, `images[${index}]`, isPinned ? text : `${text}@${digest}`)
  }
  claim.take(document)
}

function nameIn(item: Tree) {
  return scalarAt(item, 'image') ?? scalarAt(item, 'reference')
}

/** Texts, or maps that have one under the key. */
function addEach(
  tree: Tree,
  keys: readonly string[],
  key: string,
  claim: Claim,
  parent = '',
): void {
  const path = keys.reduce(pathTo, parent)
  for (const [index, item] of itemsAt(tree, ...keys).entries()) {
    const isText = item.kind === 'scalar'
    const value = isText ? item : (scalarAt(item, key) ?? scalarAt(item, 'image'))
    claim.found(value, `${pathTo(path, index)}${isText ? '' : `.${key}`}`)
  }
}
