import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag, UpstreamName } from '../oci/reference.ts'

interface TagRow {
  readonly digest: Digest
  readonly checked_at: number
  readonly media_type: string
  readonly size: number
}

interface ReferrerRow {
  readonly digest: Digest
  readonly media_type: string
  readonly size: number
  readonly artifact_type: string | null
  readonly annotations: string | null
}

interface HoldingRow {
  readonly is_linked: 0 | 1
  readonly came_from_upstream: 0 | 1
  readonly stored_size: number | null
  readonly stated_size: number | null
}

/** Everything that the catalog says to SQLite, prepared once. */
export function prepareStatements(database: Database) {
  return {
    ...nameStatements(database),
    ...referrerStatements(database),
    ...blobStatements(database),
  }
}

/** Repositories, tags, manifests and what they name. */
function nameStatements(database: Database) {
  return {
    repository: database.prepare<[UpstreamName, RepositoryName], { readonly id: number }>(
      'SELECT id FROM repositories WHERE upstream = ? AND name = ?',
    ),
    putRepository: database.prepare<[UpstreamName, RepositoryName]>(
      'INSERT INTO repositories (upstream, name) VALUES (?, ?) ON CONFLICT DO NOTHING',
    ),
    resolve: database.prepare<[number, Tag], TagRow>(
      `SELECT t.digest, t.checked_at, m.media_type, m.size FROM tags t
       JOIN manifests m ON m.repository = t.repository AND m.digest = t.digest
       WHERE t.repository = ? AND t.tag = ?`,
    ),
    // An older check never overwrites a newer one, whichever of their manifests lands first.
    putTag: database.prepare<[number, Tag, Digest, number]>(
      `INSERT INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET digest = excluded.digest, checked_at = excluded.checked_at
       WHERE excluded.checked_at >= checked_at`,
    ),
    confirm: database.prepare<[number, number, Tag, Digest, number]>(
      'UPDATE tags SET checked_at = ? WHERE repository = ? AND tag = ? AND digest = ? AND checked_at < ?',
    ),
    dropTag: database.prepare<[number, Tag]>('DELETE FROM tags WHERE repository = ? AND tag = ?'),
    manifest: database.prepare<
      [number, Digest],
      { readonly media_type: string; readonly size: number }
    >('SELECT media_type, size FROM manifests WHERE repository = ? AND digest = ?'),
    putManifest: database.prepare<[number, Digest, string, number]>(
      `INSERT INTO manifests (repository, digest, media_type, size) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET media_type = excluded.media_type`,
    ),
    putChild: database.prepare<[number, Digest, Digest, number]>(
      `INSERT INTO children (repository, digest, parent, size) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    ),
  }
}

/** What is attached to what, as the manifests that we hold say. */
function referrerStatements(database: Database) {
  return {
    putReferrer: database.prepare<[number, Digest, Digest, string | null, string | null]>(
      `INSERT INTO referrers (repository, subject, digest, artifact_type, annotations)
       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    ),
    heldReferrers: database.prepare<[number, Digest, number], ReferrerRow>(
      `SELECT r.digest, m.media_type, m.size, r.artifact_type, r.annotations FROM referrers r
       JOIN manifests m ON m.repository = r.repository AND m.digest = r.digest
       JOIN blobs b ON b.digest = r.digest AND b.dead = 0
       WHERE r.repository = ? AND r.subject = ? LIMIT ?`,
    ),
    repositories: database.prepare<
      [string, number],
      { readonly upstream: UpstreamName; readonly name: RepositoryName }
    >(
      `SELECT upstream, name FROM repositories r
       WHERE upstream || '/' || name > ? AND EXISTS (
         SELECT 1 FROM manifests m JOIN blobs b ON b.digest = m.digest AND b.dead = 0
         WHERE m.repository = r.id
       ) ORDER BY upstream || '/' || name LIMIT ?`,
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
    putBlob: database.prepare<[Digest, number, number]>(
      `INSERT INTO blobs (digest, size, used_at) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET size = excluded.size, used_at = excluded.used_at, dead = 0`,
    ),
    size: database.prepare<[Digest], { readonly size: number }>(
      'SELECT size FROM blobs WHERE digest = ?',
    ),
    touch: database.prepare<[number, Digest, number]>(
      'UPDATE blobs SET used_at = ? WHERE digest = ? AND used_at < ?',
    ),
    leastUsed: database.prepare<[number], { readonly digest: Digest; readonly size: number }>(
      'SELECT digest, size FROM blobs WHERE dead = 0 ORDER BY used_at LIMIT ?',
    ),
    entomb: database.prepare<[Digest]>('UPDATE blobs SET dead = 1 WHERE digest = ?'),
    forget: database.prepare<[Digest]>('DELETE FROM blobs WHERE digest = ?'),
    tombstones: database.prepare<[], { readonly digest: Digest }>(
      'SELECT digest FROM blobs WHERE dead = 1',
    ),
    totals: database.prepare<[], { readonly bytes: number; readonly blobs: number }>(
      'SELECT coalesce(sum(size), 0) AS bytes, count(*) AS blobs FROM blobs',
    ),
  }
}

export type Statements = ReturnType<typeof prepareStatements>
