import type { Findings } from './findings.ts'
import type { Place } from './image-lists.ts'
import { looksLikeImage, looksLikeNamedImage } from './image-pattern.ts'
import type { MapTree, ScalarTree, Tree } from './tree.ts'
import { pathTo, textAt } from './tree.ts'

const ELSEWHERE = 'it looks like an image, where anything may be'
const IMAGE_KEY = 'a key calls it an image'
const IN_PARTS = 'its parts are the values of several keys'
const IN_TEXT = 'a text within the file has it'

/** Of secrets nothing is shown, and the names that rules have are no images. */
const SKIPPED_KINDS =
  /^(?:Secret|Role|RoleBinding|ClusterRole|ClusterRoleBinding|SealedSecret|Event)$/
const MAX_SCANNED_TEXT = 1024 * 1024

/**
 * What looks like an image in what nobody has claimed: arguments, values, annotations, own resources,
 * Helm's values.
 */
export function findMaybe(
  document: Tree,
  claimed: ReadonlySet<Tree>,
  file: string,
  findings: Findings,
): void {
  const visit = (tree: Tree, path: string, key: string) => {
    if (claimed.has(tree)) return
    const place = { file, line: tree.line, path }
    if (tree.kind === 'scalar') return visitScalar(tree, key, place, findings)
    if (tree.kind === 'list') {
      for (const [index, item] of tree.items.entries()) visit(item, pathTo(path, index), key)
      return
    }
    const isObject = tree.entries.has('kind')
    if (isObject && SKIPPED_KINDS.test(textAt(tree, 'kind'))) return
    const used = visitParts(tree, key, place, findings)
    for (const [name, value] of tree.entries) {
      // What the cluster says of itself repeats what it was told.
      const isSkipped = (isObject && name === 'status') || name === 'managedFields'
      if (!isSkipped && !used.has(name)) visit(value, pathTo(path, name), name)
    }
  }
  visit(document, '', '')
}

function visitScalar(tree: ScalarTree, key: string, place: Place, findings: Findings): void {
  const { text, isText } = tree
  if (!isText || text === '') return
  if (text.includes('\n')) {
    scanText(text, place, findings)
  } else if (/^image$|Image$/.test(key) && looksLikeNamedImage(text)) {
    findings.maybe(text, place, IMAGE_KEY)
  } else {
    const found = [text, text.slice(text.indexOf('=') + 1)].find(looksLikeImage)
    if (found !== undefined) findings.maybe(found, place, ELSEWHERE)
  }
}

/** A manifest or a template in a text, such as those in a ConfigMap. */
function scanText(text: string, place: Place, findings: Findings): void {
  for (const [index, line] of text.slice(0, MAX_SCANNED_TEXT).split('\n').entries()) {
    const value = /^[\s-]*"?image"?:\s*["']?([^\s"',]+)["']?,?\s*$/.exec(line)?.[1]
    if (value === undefined || !looksLikeNamedImage(value)) continue
    // A block begins on the line after its key, which is where the value is said to stand.
    const at = place.line === undefined ? {} : { line: place.line + index + 1 }
    findings.maybe(value, { ...place, ...at }, IN_TEXT)
  }
}

/**
 * `{registry, repository, tag, digest}` and its kin, as Helm's values and operators have them. Returns the
 * keys that went into it.
 */
function visitParts(
  tree: MapTree,
  key: string,
  place: Place,
  findings: Findings,
): ReadonlySet<string> {
  const parts = readParts(tree, /images?$/i.test(key))
  if (parts === undefined || !looksLikeNamedImage(parts.image)) return new Set()
  findings.maybe(parts.image, place, IN_PARTS)
  return new Set(parts.keys)
}

interface Parts {
  readonly image: string
  readonly keys: readonly string[]
}

function readParts(tree: MapTree, isImage: boolean): Parts | undefined {
  const text = (name: string) => textAt(tree, name)
  const first = (...names: readonly string[]) => names.find((name) => text(name) !== '')
  // What kustomize puts in the place of others.
  const isReplaced = text('newTag') !== ''
  const tag = isReplaced
    ? 'newTag'
    : first('tag', 'imageTag', ...(text('repository') === '' ? [] : ['version']))
  const digest = first('digest', 'sha')
  if (tag === undefined && digest === undefined) return undefined
  const ownNames = isReplaced || isImage ? ['newName', 'name'] : []
  const base = first('repository', 'image', 'baseImage', ...ownNames)
  if (base === undefined) return undefined
  // Operators of hardware split it in another place: a repository, an image in it, and its version.
  const below = base === 'repository' ? first('image') : undefined
  const registry = first('registry', 'imageRegistry')
  const name = [registry, base, below].flatMap((part) => (part === undefined ? [] : [text(part)]))
  const keys = [registry, base, below, tag, digest].filter((part) => part !== undefined)
  const suffix = suffixOf(tag === undefined ? '' : text(tag), digest && text(digest))
  return { image: name.map((part) => part.replace(/\/+$/, '')).join('/') + suffix, keys }
}

function suffixOf(tag: string, digest = ''): string {
  const full = digest === '' || digest.includes(':') ? digest : `sha256:${digest}`
  if (/^sha(?:256|512):/.test(tag)) return `@${tag}`
  return `${tag === '' ? '' : `:${tag}`}${full === '' ? '' : `@${full}`}`
}
