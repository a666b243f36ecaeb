import { findInChart, isChart } from './charts.ts'
import { Claim } from './claim.ts'
import { findInCompose } from './compose.ts'
import { findMaybe } from './find-maybe.ts'
import type { Findings } from './findings.ts'
import { findInImageList, IMAGE_FILES, isImageList } from './image-files.ts'
import { looksLikeNamedImage } from './image-pattern.ts'
import type { Variables } from './interpolate.ts'
import { findInKubernetes } from './kubernetes.ts'
import { findInRegsync, findInSkopeoSync, isRegsync, isSkopeoSync } from './sync-files.ts'
import type { ListTree, Tree } from './tree.ts'
import { mapAt, pathTo, textAt } from './tree.ts'

/** A file that is read. */
export interface Source {
  readonly file: string
  /** The person has named it, and not only a directory that has it: then a list is a list. */
  readonly isNamed: boolean
  /** What a compose file may fill in. */
  readonly variables: Variables
}

/** What a document of YAML or JSON names, in the places that its form has for images and elsewhere. */
export function findInDocument(document: Tree, source: Source, findings: Findings): void {
  const claim = new Claim(source.file, findings)
  claimKnown(document, source, claim)
  findMaybe(document, claim.taken, source.file, findings)
}

function claimKnown(document: Tree, source: Source, claim: Claim): void {
  if (document.kind === 'list') return claimList(document, source, claim)
  const kind = textAt(document, 'kind')
  const readImageFile = IMAGE_FILES.get(kind)
  if (readImageFile !== undefined) readImageFile(document, claim)
  else if (kind !== '' && textAt(document, 'apiVersion') !== '') findInKubernetes(document, claim)
  else if (mapAt(document, 'services') !== undefined) {
    findInCompose(document, source.variables, claim)
  } else if (isChart(document)) findInChart(document, claim)
  else if (isRegsync(document)) findInRegsync(document, claim)
  else if (isSkopeoSync(document)) findInSkopeoSync(document, claim)
  else if (isImageList(document)) findInImageList(document, claim)
}

/** Images, or objects of any kind. A list of words that happens to be in a directory is none of ours. */
function claimList({ items }: ListTree, source: Source, claim: Claim): void {
  const texts = items.filter((item) => item.kind === 'scalar' && item.isText)
  const isList = source.isNamed || texts.every((item) => looksLikeNamedImage(textAt(item)))
  const seen = new Set<Tree>()
  for (const [index, item] of items.entries()) {
    // An alias names nothing new, and each Chart.yaml is parsed once more.
    if (seen.has(item)) continue
    seen.add(item)
    if (item.kind === 'map') claimKnown(item, source, claim)
    else if (item.kind === 'scalar' && item.isText && isList) claim.found(item, pathTo('', index))
  }
}
