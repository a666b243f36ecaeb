import type { HeldBlob, Removal } from '../core/maintenance/inventory.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/reference.ts'
import type { InventoryStatements } from './inventory-statements.ts'

/**
 * Drops a tag, or all tags of a manifest, then the manifests that nothing else in the repository names, and
 * its links to what those named. The caller's transaction makes one change of it, or none.
 */
export function removeFromCatalog(
  sql: InventoryStatements,
  id: number,
  target: { readonly tag: Tag } | { readonly digest: Digest },
  at: number,
): Removal {
  const root = 'tag' in target ? sql.tag.get(id, target.tag)?.digest : target.digest
  const tags = 'tag' in target ? [target.tag] : tagsAt(sql, id, target.digest)
  for (const tag of tags) {
    if (sql.dropTag.run(id, tag).changes > 0) sql.note.run(id, tag, null, at)
    sql.dropMark.run(id, tag)
  }
  const manifests = root === undefined ? new Set<Digest>() : unneeded(sql, id, root)
  const named = new Set(manifests)
  for (const manifest of manifests) {
    for (const { digest } of sql.children.all(id, manifest)) named.add(digest)
  }
  for (const manifest of manifests) {
    sql.dropManifest.run(id, manifest)
    sql.dropChildren.run(id, manifest)
    sql.dropAttached.run(id, manifest)
  }
  for (const digest of named) sql.dropLink.run({ id, digest })
  return { tags, manifests: [...manifests], ...divide(sql, named) }
}

function tagsAt(sql: InventoryStatements, id: number, digest: Digest): readonly Tag[] {
  return sql.tagsAt.all(id, digest).map(({ tag }) => tag)
}

/** The manifest, those below it and those attached to it, as far as no tag, pin or other manifest names them. */
function unneeded(sql: InventoryStatements, id: number, root: Digest): ReadonlySet<Digest> {
  const going = new Set<Digest>()
  const waiting = [root]
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    if (going.has(digest) || sql.isManifest.get(id, digest) === undefined) continue
    const isTagged = sql.tagsAt.get(id, digest) !== undefined
    const isPinned = sql.isPinned.get(id, digest) !== undefined
    const isChild = sql.parents.all(id, digest).some(({ parent }) => !going.has(parent))
    if (isTagged || isPinned || isChild) continue
    going.add(digest)
    // One that two of these name comes up again with the second.
    for (const child of sql.children.all(id, digest)) waiting.push(child.digest)
    for (const attached of sql.attached.all(id, digest)) waiting.push(attached.digest)
  }
  return going
}

function divide(
  sql: InventoryStatements,
  digests: ReadonlySet<Digest>,
): Pick<Removal, 'freed' | 'kept'> {
  const freed: HeldBlob[] = []
  const kept: HeldBlob[] = []
  for (const digest of digests) {
    const row = sql.blob.get(digest)
    if (row === undefined) continue
    const blob = { digest, size: row.size, usedAt: row.used_at }
    const isNamed = sql.isNamed.get({ digest })?.is_named === 1
    if (isNamed) kept.push(blob)
    else freed.push(blob)
  }
  return { freed, kept }
}
