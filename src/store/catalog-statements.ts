import type { Database } from 'better-sqlite3'
import { CLOCK_ERROR_MS } from '../core/freshness.ts'
import type { Holding } from '../core/ports.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag, UpstreamName } from '../oci/reference.ts'
import { evictionStatements } from './eviction-statements.ts'

interface TagRow {
  readonly digest: Digest
  readonly checked_at: number
  readonly media_type: string
  readonly size: number
  readonly is_held: 0 | 1
}

interface HoldingRow {
  readonly is_linked: 0 | 1
  readonly came_from_upstream: 0 | 1
  readonly stored_size: number | null
  readonly stated_size: number | null
}

/** Of a row of `tags`: whatever upstream says of the tag, it is not taken away. */
const STAYS = `
  EXISTS (SELECT 1 FROM holds h WHERE h.repository = tags.repository AND h.tag = tags.tag)
  OR EXISTS (SELECT 1 FROM pins p WHERE p.repository = tags.repository AND p.digest = tags.digest)
  OR EXISTS (
    SELECT 1 FROM imports i
    WHERE i.repository = tags.repository AND i.tag = tags.tag AND i.digest = tags.digest
  )
`

export function toHolding(row: HoldingRow | undefined): Holding {
  const isNamedHere = typeof row?.stated_size === 'number' && row.came_from_upstream === 1
  return {
    standing: row?.is_linked === 1 ? 'proved' : isNamedHere ? 'named' : undefined,
    storedSize: row?.stored_size ?? undefined,
    statedSize: row?.stated_size ?? undefined,
  }
}

/** Everything that the catalog says to SQLite, prepared once. */
export function prepareStatements(database: Database) {
  return {
    ...tagStatements(database),
    ...manifestStatements(database),
    ...blobStatements(database),
    ...evictionStatements(database),
  }
}

function tagStatements(database: Database) {
  return {
    resolve: database.prepare<[number, Tag], TagRow>(
      `SELECT t.digest, t.checked_at, h.at IS NOT NULL AS is_held,
         coalesce(m.media_type, h.media_type) AS media_type, coalesce(m.size, h.size) AS size
       FROM tags t
       LEFT JOIN manifests m ON m.repository = t.repository AND m.digest = t.digest
       LEFT JOIN holds h ON h.repository = t.repository AND h.tag = t.tag
       WHERE t.repository = ? AND t.tag = ? AND (m.digest IS NOT NULL OR h.at IS NOT NULL)`,
    ),
    // An older check never overwrites a newer one, whichever of their manifests lands first; unless that one
    // is so much newer that the clock was wrong.
    putTag: database.prepare<[number, Tag, Digest, number]>(
      `INSERT INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET digest = excluded.digest, checked_at = excluded.checked_at
       WHERE (excluded.checked_at >= checked_at OR checked_at > excluded.checked_at + ${CLOCK_ERROR_MS})
         AND NOT EXISTS (
         SELECT 1 FROM holds h WHERE h.repository = tags.repository AND h.tag = tags.tag
       )`,
    ),
    noteTag: database.prepare<{ readonly id: number; readonly tag: Tag }>(
      `INSERT INTO tag_history (repository, tag, digest, at)
       SELECT t.repository, t.tag, t.digest, t.checked_at FROM tags t
       WHERE t.repository = @id AND t.tag = @tag AND t.digest IS NOT (
         SELECT digest FROM tag_history WHERE repository = @id AND tag = @tag ORDER BY id DESC LIMIT 1
       )`,
    ),
    noteDrop: database.prepare<[number, Tag, number]>(
      'INSERT INTO tag_history (repository, tag, digest, at) VALUES (?, ?, NULL, ?)',
    ),
    confirm: database.prepare<{
      readonly at: number
      readonly id: number
      readonly tag: Tag
      readonly digest: Digest
    }>(
      `UPDATE tags SET checked_at = @at WHERE repository = @id AND tag = @tag AND digest = @digest
       AND (checked_at < @at OR checked_at > @at + ${CLOCK_ERROR_MS})`,
    ),
    dropTag: database.prepare<{ readonly id: number; readonly tag: Tag }>(
      `DELETE FROM tags WHERE repository = @id AND tag = @tag AND NOT (${STAYS})`,
    ),
    keepsTag: database.prepare<{ readonly id: number; readonly tag: Tag }, 1>(
      `SELECT 1 FROM tags WHERE repository = @id AND tag = @tag AND (${STAYS})`,
    ),
    hasTag: database.prepare<{ readonly id: number; readonly tag: Tag }, 1>(
      'SELECT 1 FROM tags WHERE repository = @id AND tag = @tag',
    ),
  }
}

/** Manifests. What they name is in manifest-names.ts. */
function manifestStatements(database: Database) {
  return {
    manifest: database.prepare<
      [number, Digest],
      { readonly media_type: string; readonly size: number }
    >('SELECT media_type, size FROM manifests WHERE repository = ? AND digest = ?'),
    putManifest: database.prepare<[number, Digest, string, number]>(
      `INSERT INTO manifests (repository, digest, media_type, size) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET media_type = excluded.media_type`,
    ),
  }
}

/** Bytes, and who may read them. */
function blobStatements(database: Database) {
  return {
    putLink: database.prepare<[Digest, number, 0 | 1]>(
      `INSERT INTO links (digest, repository, landed) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET landed = max(landed, excluded.landed)`,
    ),
    holding: database.prepare<
      { readonly id: number; readonly digest: Digest; readonly upstream: UpstreamName },
      HoldingRow
    >(
      `SELECT
         EXISTS (SELECT 1 FROM links WHERE digest = @digest AND repository = @id) AS is_linked,
         EXISTS (
           SELECT 1 FROM links l JOIN repositories r ON r.id = l.repository
           WHERE l.digest = @digest AND l.landed = 1 AND r.upstream = @upstream
         ) AS came_from_upstream,
         (SELECT size FROM blobs WHERE digest = @digest AND dead = 0) AS stored_size,
         (SELECT size FROM children WHERE repository = @id AND digest = @digest LIMIT 1) AS stated_size`,
    ),
    putBlob: database.prepare<{
      readonly digest: Digest
      readonly size: number
      readonly at: number
    }>(
      `INSERT INTO blobs (digest, size, used_at, ranked_at) VALUES (@digest, @size, @at, @at)
       ON CONFLICT DO UPDATE SET size = @size, used_at = @at, ranked_at = max(ranked_at, @at), dead = 0,
         durability = 0, adopted_at = NULL, brought_by = NULL`,
    ),
    bringBlob: database.prepare<{
      readonly digest: Digest
      readonly size: number
      readonly at: number
    }>(
      `INSERT INTO blobs (digest, size, used_at, ranked_at, adopted_at)
       VALUES (@digest, @size, @at, @at, @at)
       ON CONFLICT DO UPDATE SET size = @size, used_at = @at, ranked_at = max(ranked_at, @at), dead = 0,
         durability = 0, adopted_at = @at`,
    ),
    adoptBlob: database.prepare<{
      readonly digest: Digest
      readonly size: number
      readonly at: number
    }>(
      `INSERT INTO blobs (digest, size, used_at, ranked_at, adopted_at)
       VALUES (@digest, @size, @at, @at, @at) ON CONFLICT DO NOTHING`,
    ),
    claimBlob: database.prepare<[Digest]>(
      'UPDATE blobs SET adopted_at = NULL, brought_by = NULL WHERE digest = ? AND adopted_at IS NOT NULL',
    ),
    changes: database.prepare<[], { readonly changes: number }>(
      'SELECT total_changes() AS changes',
    ),
    size: database.prepare<[Digest], { readonly size: number }>(
      'SELECT size FROM blobs WHERE digest = ?',
    ),
  }
}

export type Statements = ReturnType<typeof prepareStatements>
