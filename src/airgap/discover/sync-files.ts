import { parseDigest } from '../../oci/digest.ts'
import type { Claim } from './claim.ts'
import type { Tree } from './tree.ts'
import { entriesAt, itemsAt, mapAt, pathTo, scalarAt, textAt } from './tree.ts'

const ALL_TAGS = 'it means all the tags there are, which only the registry knows'
const PATTERN = 'it means tags by a pattern, and only the registry knows which there are'
const SKOPEO_KEYS = ['images', 'images-by-tag-regex', 'images-by-semver'] as const

/** What `skopeo sync --src yaml` reads: registries, each with repositories and their tags. */
export function isSkopeoSync(document: Tree): boolean {
  const registries = entriesAt(document)
  return (
    registries.length > 0 &&
    registries.every(
      ([name, registry]) =>
        /[.:]|^localhost$/.test(name) &&
        SKOPEO_KEYS.some((key) => mapAt(registry, key) !== undefined),
    )
  )
}

export function findInSkopeoSync(document: Tree, claim: Claim): void {
  for (const [registry, settings] of entriesAt(document)) {
    const path = pathTo('', registry)
    for (const [name, tags] of entriesAt(settings, 'images')) {
      const at = pathTo(`${path}.images`, name)
      const repository = `${registry}/${name}`
      const items = itemsAt(tags)
      if (items.length === 0) claim.unresolved(tags, at, repository, ALL_TAGS)
      for (const [index, tag] of items.entries()) {
        const text = textAt(tag)
        const separator = parseDigest(text) === undefined ? ':' : '@'
        claim.found(scalarAt(tag), pathTo(at, index), `${repository}${separator}${text}`)
      }
    }
    for (const key of ['images-by-tag-regex', 'images-by-semver']) {
      for (const [name, pattern] of entriesAt(settings, key)) {
        const at = pathTo(pathTo(path, key), name)
        claim.unresolved(pattern, at, `${registry}/${name}:${textAt(pattern)}`, PATTERN)
      }
    }
    // What else there is are credentials and certificates.
    claim.take(settings)
  }
}

/** The configuration of regsync: a list of sources with their targets. */
export function isRegsync(document: Tree): boolean {
  const entries = itemsAt(document, 'sync')
  return entries.some((entry) => textAt(entry, 'source') !== '' && textAt(entry, 'target') !== '')
}

export function findInRegsync(document: Tree, claim: Claim): void {
  for (const [index, entry] of itemsAt(document, 'sync').entries()) {
    const source = scalarAt(entry, 'source')
    const path = `sync[${index}].source`
    const type = textAt(entry, 'type')
    if (type === 'image') {
      claim.found(source, path)
    } else {
      const hasPattern = type === 'repository' && mapAt(entry, 'tags') !== undefined
      claim.unresolved(source, path, textAt(source), hasPattern ? PATTERN : ALL_TAGS)
    }
  }
  // The rest is where the images go, and credentials.
  claim.take(document)
}
