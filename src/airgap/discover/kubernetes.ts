import type { Claim } from './claim.ts'
import type { MapTree, Tree } from './tree.ts'
import { itemsAt, pathTo, scalarAt, textAt } from './tree.ts'

const CONTAINERS = ['initContainers', 'containers', 'ephemeralContainers'] as const
const RANGE = 'it means a range of versions, and only the registry knows which there are'
/** An image without a name: what is left of one whose tag has moved on. */
const NAMELESS = /^<none>|^sha\d+:|^[0-9a-f]{64}$/

/** An object of Kubernetes, or a list of them: the pods in it, at whatever depth, and what nodes hold. */
export function findInKubernetes(document: Tree, claim: Claim): void {
  visit(document, '', claim)
}

function visit(tree: Tree, path: string, claim: Claim): void {
  if (tree.kind === 'list') {
    for (const [index, item] of tree.items.entries()) visit(item, pathTo(path, index), claim)
    return
  }
  if (tree.kind !== 'map') return
  const isObject = tree.entries.has('kind')
  if (isObject && textAt(tree, 'kind') === 'Node') return visitNode(tree, path, claim)
  if (isOciRepository(tree)) return visitOciRepository(tree, path, claim)
  visitPodSpec(tree, path, claim)
  for (const [key, value] of tree.entries) {
    const isSkipped = key === 'metadata' || (isObject && key === 'status')
    if (!isSkipped) visit(value, pathTo(path, key), claim)
  }
}

/** By its form, so that the resources of operators, which have pods in them too, are read as well. */
function visitPodSpec(tree: MapTree, path: string, claim: Claim): void {
  for (const key of CONTAINERS) {
    for (const [index, container] of itemsAt(tree, key).entries()) {
      const image = scalarAt(container, 'image')
      const at = `${pathTo(path, key)}[${index}].image`
      // Istio puts its proxy there.
      if (image?.text === 'auto') claim.unresolved(image, at, image.text, 'Istio fills it in')
      else claim.found(image, at)
    }
  }
  for (const [index, volume] of itemsAt(tree, 'volumes').entries()) {
    const at = `${pathTo(path, 'volumes')}[${index}].image.reference`
    claim.found(scalarAt(volume, 'image', 'reference'), at)
  }
}

/** A node has several names for one image: those by tag, or by digest where a repository has no tag. */
function visitNode(node: MapTree, path: string, claim: Claim): void {
  for (const [index, image] of itemsAt(node, 'status', 'images').entries()) {
    const at = `${pathTo(path, 'status')}.images[${index}].names`
    const names = itemsAt(image, 'names')
      .flatMap((name) => (name.kind === 'scalar' && !NAMELESS.test(name.text) ? [name] : []))
      .filter(({ text }) => !text.includes('<none>'))
    const tagged = names.filter(({ text }) => !text.includes('@'))
    const repositories = new Set(tagged.map(({ text }) => text.slice(0, text.lastIndexOf(':'))))
    for (const name of names) {
      const [repository = '', digest] = name.text.split('@')
      if (digest === undefined || !repositories.has(repository)) claim.found(name, at)
    }
  }
  claim.take(node)
}

function isOciRepository(tree: MapTree): boolean {
  return textAt(tree, 'kind') === 'OCIRepository' && textAt(tree, 'spec', 'url') !== ''
}

/** Flux: the digest goes before the range, and the range before the tag. */
function visitOciRepository(tree: MapTree, path: string, claim: Claim): void {
  const url = scalarAt(tree, 'spec', 'url')
  const at = `${pathTo(path, 'spec')}.url`
  const repository = textAt(tree, 'spec', 'url').replace(/^oci:\/\//, '')
  const [digest, range, tag] = ['digest', 'semver', 'tag'].map((key) =>
    textAt(tree, 'spec', 'ref', key),
  )
  if (digest) claim.found(url, at, `${repository}@${digest}`)
  else if (range) claim.unresolved(url, at, `${repository}:${range}`, RANGE)
  else claim.found(url, at, tag ? `${repository}:${tag}` : repository)
}
