import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag, UpstreamName } from '../oci/reference.ts'

export interface ImageRow {
  readonly id: number
  readonly upstream: UpstreamName
  readonly name: RepositoryName
  /** Null for a pinned manifest that no tag is any more. */
  readonly tag: Tag | null
  readonly digest: Digest
  readonly media_type: string
  readonly size: number
  readonly checked_at: number | null
  readonly is_held: 0 | 1
  readonly is_pinned: 0 | 1
}

interface ClosureRow {
  readonly blobs: number
  readonly bytes: number
  readonly stored_blobs: number
  readonly stored_bytes: number
}

interface RepositoryRow {
  readonly upstream: UpstreamName
  readonly name: RepositoryName
  readonly id: number
  readonly tags: number
  readonly manifests: number
}

interface NamedRow {
  readonly digest: Digest
  /** Null for what is not stored, or counted elsewhere. */
  readonly size: number | null
}

export interface BlobRow {
  readonly digest: Digest
  readonly size: number
  readonly used_at: number
}

interface UnusedRow extends BlobRow {
  readonly is_unused: 0 | 1
}

interface RunRow {
  readonly after: string
  readonly started_at: number
  readonly blobs: number
  readonly bytes: number
}

/** Rows that a lost catalog had may come back with the next pull, and until then nothing names what was adopted. */
const ADOPTED_FOR_MS = 30 * 24 * 60 * 60_000

const FULL_NAME = "r.upstream || '/' || r.name"
const CLOSURE = `WITH RECURSIVE closure (digest, size) AS (
  SELECT @digest, @size
  UNION
  SELECT c.digest, c.size FROM closure p CROSS JOIN children c INDEXED BY children_by_parent
  ON c.repository = @id AND c.parent = p.digest
)`
/** A pin's own manifest is asked for here; what that names in turn is named by it. */
export const IS_NAMED = (
  digest: string,
) => `EXISTS (SELECT 1 FROM links l WHERE l.digest = ${digest})
  OR EXISTS (SELECT 1 FROM children c WHERE c.digest = ${digest})
  OR EXISTS (SELECT 1 FROM manifests m WHERE m.digest = ${digest})
  OR EXISTS (SELECT 1 FROM pins p WHERE p.digest = ${digest})`

/** What maintenance says to SQLite, prepared once. */
export function prepareInventory(database: Database) {
  return {
    ...listStatements(database),
    ...lookUps(database),
    ...upkeepStatements(database),
    ...removals(database),
  }
}

function listStatements(database: Database) {
  const image = `${FULL_NAME} || coalesce(':' || t.tag, '@' || t.digest)`
  return {
    images: database.prepare<[string, string, number], ImageRow>(
      `SELECT r.id, r.upstream, r.name, t.tag, t.digest, t.checked_at, h.at IS NOT NULL AS is_held,
         coalesce(m.media_type, h.media_type) AS media_type, coalesce(m.size, h.size) AS size,
         EXISTS (SELECT 1 FROM pins p WHERE p.repository = r.id AND p.digest = t.digest) AS is_pinned
       FROM (
         SELECT repository, tag, digest, checked_at FROM tags
         UNION ALL
         SELECT repository, NULL, digest, NULL FROM pins p WHERE NOT EXISTS (
           SELECT 1 FROM tags WHERE tags.repository = p.repository AND tags.digest = p.digest
         )
       ) t JOIN repositories r ON r.id = t.repository
       LEFT JOIN manifests m ON m.repository = t.repository AND m.digest = t.digest
       LEFT JOIN holds h ON h.repository = t.repository AND h.tag = t.tag
       WHERE ${image} > ? AND ${image} GLOB ? AND (m.digest IS NOT NULL OR h.at IS NOT NULL)
       ORDER BY ${image} LIMIT ?`,
    ),
    repositories: database.prepare<[string, string, number], RepositoryRow>(
      `SELECT r.id, r.upstream, r.name,
         (SELECT count(*) FROM tags t WHERE t.repository = r.id) AS tags,
         (SELECT count(*) FROM manifests m WHERE m.repository = r.id) AS manifests
       FROM repositories r WHERE ${FULL_NAME} > ? AND ${FULL_NAME} GLOB ?
         AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository = r.id)
       ORDER BY ${FULL_NAME} LIMIT ?`,
    ),
    named: database.prepare<[number, string, number], NamedRow>(
      `SELECT n.digest, b.size FROM (
         SELECT DISTINCT digest FROM children
         WHERE repository = ? AND digest > ? ORDER BY digest LIMIT ?
       ) n LEFT JOIN blobs b ON b.digest = n.digest AND b.dead = 0 ORDER BY n.digest`,
    ),
    /** Those aside that another manifest names. */
    topManifests: database.prepare<[number, string, number], NamedRow>(
      `SELECT n.digest, iif(EXISTS (
         SELECT 1 FROM children c WHERE c.repository = n.repository AND c.digest = n.digest
       ), NULL, b.size) AS size FROM (
         SELECT repository, digest FROM manifests
         WHERE repository = ? AND digest > ? ORDER BY digest LIMIT ?
       ) n LEFT JOIN blobs b ON b.digest = n.digest AND b.dead = 0 ORDER BY n.digest`,
    ),
    blobs: database.prepare<[string, number], BlobRow>(
      'SELECT digest, size, used_at FROM blobs WHERE digest > ? AND dead = 0 ORDER BY digest LIMIT ?',
    ),
    blob: database.prepare<[Digest], BlobRow>(
      'SELECT digest, size, used_at FROM blobs WHERE digest = ? AND dead = 0',
    ),
    counts: database.prepare<
      [],
      Record<'repositories' | 'tags' | 'manifests' | 'pins' | 'holds', number>
    >(
      `SELECT (SELECT count(DISTINCT repository) FROM manifests) AS repositories,
         (SELECT count(*) FROM tags) AS tags, (SELECT count(*) FROM manifests) AS manifests,
         (SELECT count(*) FROM pins) AS pins, (SELECT count(*) FROM holds) AS holds`,
    ),
  }
}

/** One repository, image or blob. */
function lookUps(database: Database) {
  return {
    tagsOf: database.prepare<[number, number], { readonly tag: Tag }>(
      'SELECT tag FROM tags WHERE repository = ? ORDER BY tag LIMIT ?',
    ),
    image: database.prepare<
      { readonly id: number; readonly digest: Digest; readonly size: number },
      ClosureRow
    >(
      `${CLOSURE} SELECT count(*) AS blobs, sum(n.size) AS bytes, count(b.digest) AS stored_blobs,
         coalesce(sum(b.size), 0) AS stored_bytes
       FROM closure n LEFT JOIN blobs b ON b.digest = n.digest AND b.dead = 0`,
    ),
    closure: database.prepare<
      { readonly id: number; readonly digest: Digest; readonly size: number },
      { readonly digest: Digest }
    >(`${CLOSURE} SELECT DISTINCT digest FROM closure`),
    owners: database.prepare<
      { readonly digest: Digest },
      {
        readonly upstream: UpstreamName
        readonly name: RepositoryName
        readonly is_manifest: 0 | 1
      }
    >(
      `SELECT r.upstream, r.name, EXISTS (
         SELECT 1 FROM manifests m WHERE m.repository = r.id AND m.digest = @digest
       ) AS is_manifest
       FROM repositories r
       LEFT JOIN links l ON l.digest = @digest AND l.repository = r.id
       WHERE l.digest IS NOT NULL
         OR EXISTS (SELECT 1 FROM manifests m WHERE m.repository = r.id AND m.digest = @digest)
         OR EXISTS (SELECT 1 FROM children c WHERE c.repository = r.id AND c.digest = @digest)
       ORDER BY coalesce(l.landed, -1) DESC LIMIT 8`,
    ),
  }
}

function upkeepStatements(database: Database) {
  return {
    history: database.prepare<
      { readonly id: number; readonly tag: Tag | null },
      { readonly tag: Tag; readonly digest: Digest | null; readonly at: number }
    >(
      `SELECT tag, digest, at FROM tag_history
       WHERE repository = @id AND (@tag IS NULL OR tag = @tag) ORDER BY id`,
    ),
    isPinned: database.prepare<[number, Digest], 1>(
      'SELECT 1 FROM pins WHERE repository = ? AND digest = ?',
    ),
    pin: database.prepare<[number, Digest, number]>(
      'INSERT INTO pins (repository, digest, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    ),
    unpin: database.prepare<[number, Digest]>(
      'DELETE FROM pins WHERE repository = ? AND digest = ?',
    ),
    isHeld: database.prepare<[number, Tag], 1>(
      'SELECT 1 FROM holds WHERE repository = ? AND tag = ?',
    ),
    hold: database.prepare<[number, Tag, string, number, number]>(
      `INSERT INTO holds (repository, tag, media_type, size, at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET media_type = excluded.media_type, size = excluded.size, at = excluded.at`,
    ),
    /** A hold is no word of upstream's: a tag that is here keeps the time of its last check. */
    holdTag: database.prepare<[number, Tag, Digest, number]>(
      `INSERT INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET digest = excluded.digest`,
    ),
    release: database.prepare<[number, Tag]>('DELETE FROM holds WHERE repository = ? AND tag = ?'),
    note: database.prepare<[number, Tag, Digest | null, number]>(
      'INSERT INTO tag_history (repository, tag, digest, at) VALUES (?, ?, ?, ?)',
    ),
    run: database.prepare<[], RunRow>('SELECT after, started_at, blobs, bytes FROM verify_run'),
    putRun: database.prepare<[string, number, number, number]>(
      `INSERT INTO verify_run (id, after, started_at, blobs, bytes) VALUES (1, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET after = excluded.after, started_at = excluded.started_at,
         blobs = excluded.blobs, bytes = excluded.bytes`,
    ),
    dropRun: database.prepare<[]>('DELETE FROM verify_run'),
  }
}

function removals(database: Database) {
  return {
    tag: database.prepare<[number, Tag], { readonly digest: Digest }>(
      'SELECT digest FROM tags WHERE repository = ? AND tag = ?',
    ),
    tagsAt: database.prepare<[number, Digest], { readonly tag: Tag }>(
      'SELECT tag FROM tags WHERE repository = ? AND digest = ? ORDER BY tag',
    ),
    dropTag: database.prepare<[number, Tag]>('DELETE FROM tags WHERE repository = ? AND tag = ?'),
    dropMark: database.prepare<[number, Tag]>(
      'DELETE FROM imports WHERE repository = ? AND tag = ?',
    ),
    isManifest: database.prepare<[number, Digest], 1>(
      'SELECT 1 FROM manifests WHERE repository = ? AND digest = ?',
    ),
    parents: database.prepare<[number, Digest], { readonly parent: Digest }>(
      'SELECT parent FROM children WHERE repository = ? AND digest = ?',
    ),
    children: database.prepare<[number, Digest], { readonly digest: Digest }>(
      'SELECT digest FROM children WHERE repository = ? AND parent = ?',
    ),
    attached: database.prepare<[number, Digest], { readonly digest: Digest }>(
      'SELECT digest FROM referrers WHERE repository = ? AND subject = ?',
    ),
    dropManifest: database.prepare<[number, Digest]>(
      'DELETE FROM manifests WHERE repository = ? AND digest = ?',
    ),
    dropChildren: database.prepare<[number, Digest]>(
      'DELETE FROM children WHERE repository = ? AND parent = ?',
    ),
    dropAttached: database.prepare<[number, Digest]>(
      'DELETE FROM referrers WHERE repository = ? AND digest = ?',
    ),
    dropLink: database.prepare<{ readonly id: number; readonly digest: Digest }>(
      `DELETE FROM links WHERE digest = @digest AND repository = @id
         AND NOT EXISTS (SELECT 1 FROM children WHERE repository = @id AND digest = @digest)
         AND NOT EXISTS (SELECT 1 FROM manifests WHERE repository = @id AND digest = @digest)`,
    ),
    isNamed: database.prepare<{ readonly digest: Digest }, { readonly is_named: 0 | 1 }>(
      `SELECT (${IS_NAMED('@digest')}) AS is_named`,
    ),
    unused: database.prepare<[number, string, number], UnusedRow>(
      `SELECT digest, size, used_at,
         max(used_at, coalesce(adopted_at + ${ADOPTED_FOR_MS}, 0)) < ?
           AND NOT (${IS_NAMED('b.digest')}) AS is_unused
       FROM blobs b WHERE digest > ? AND dead = 0 ORDER BY digest LIMIT ?`,
    ),
  }
}

export type InventoryStatements = ReturnType<typeof prepareInventory>
