import type { Claim } from './claim.ts'
import type { Variables } from './interpolate.ts'
import { interpolate } from './interpolate.ts'
import type { ScalarTree, Tree } from './tree.ts'
import { entriesAt, itemsAt, mapAt, pathTo, scalarAt, textAt } from './tree.ts'

/** A compose file. One that it includes or extends has to be named beside it. */
export function findInCompose(document: Tree, variables: Variables, claim: Claim): void {
  for (const [name, service] of entriesAt(document, 'services')) {
    findInService(service, pathTo('services', name), variables, claim)
  }
  const included = itemsAt(document, 'include').flatMap((item) => namesOf(item))
  for (const file of included) claim.note(`it includes ${file}, which was not read: name it, too`)
}

function findInService(service: Tree, path: string, variables: Variables, claim: Claim): void {
  const image = scalarAt(service, 'image')
  const isBuilt = mapAt(service, 'build') !== undefined || textAt(service, 'build') !== ''
  if (image !== undefined) addImage(image, `${path}.image`, isBuilt, variables, claim)
  for (const [index, volume] of itemsAt(service, 'volumes').entries()) {
    const source = scalarAt(volume, 'source')
    if (textAt(volume, 'type') !== 'image' || source === undefined) continue
    addImage(source, `${path}.volumes[${index}].source`, false, variables, claim)
  }
  const other = textAt(service, 'extends', 'file')
  if (other !== '') claim.note(`${path} extends ${other}, which was not read: name it, too`)
}

function addImage(
  image: ScalarTree,
  path: string,
  isBuilt: boolean,
  variables: Variables,
  claim: Claim,
): void {
  const filled = interpolate(image.text, variables)
  if ('reason' in filled) claim.unresolved(image, path, image.text, filled.reason)
  else if (isBuilt) {
    claim.maybe(image, path, filled.text, 'it is built here, and may be in no registry')
  } else claim.found(image, path, filled.text)
}

/** An entry of `include`: a file, or several under `path`. */
function namesOf(item: Tree): readonly string[] {
  const path = item.kind === 'map' ? item.entries.get('path') : item
  const paths = path?.kind === 'list' ? path.items : [path]
  return paths.flatMap((each) => (each?.kind === 'scalar' ? [each.text] : []))
}
