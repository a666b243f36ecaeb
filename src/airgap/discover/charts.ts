import type { Claim } from './claim.ts'
import { parseYamlDocuments } from './parse-yaml.ts'
import type { Tree } from './tree.ts'
import { itemsAt, pathTo, scalarAt, textAt, UnreadableDocument } from './tree.ts'

/** In which a chart says what its templates need: YAML in a text. */
const ANNOTATIONS = ['artifacthub.io/images', 'helm.sh/images'] as const

/** A `Chart.yaml`. Its templates are another matter: they have to be rendered. */
export function isChart(document: Tree): boolean {
  const keys = ['apiVersion', 'name', 'version'] as const
  return keys.every((key) => textAt(document, key) !== '') && textAt(document, 'kind') === ''
}

export function findInChart(document: Tree, claim: Claim): void {
  for (const key of ANNOTATIONS) {
    const annotation = scalarAt(document, 'annotations', key)
    if (annotation === undefined) continue
    claim.take(annotation)
    const path = pathTo('annotations', key)
    for (const list of parseYamlDocuments(annotation.text)) {
      if (list instanceof UnreadableDocument) claim.problem(annotation, path, list.message)
      else addList(list, annotation.line, path, claim)
    }
  }
}

function addList(list: Tree, line: number, path: string, claim: Claim): void {
  for (const [index, item] of itemsAt(list).entries()) {
    const image = item.kind === 'scalar' ? item : scalarAt(item, 'image')
    // Its lines count from the line after the annotation's key.
    const moved = image && { ...image, line: line + image.line }
    claim.found(moved, `${pathTo(path, index)}${item.kind === 'scalar' ? '' : '.image'}`)
  }
}
