import type { Database } from 'better-sqlite3'
import type { Digest } from '../oci/digest.ts'
import { IS_NAMED } from './inventory-statements.ts'

/**
 * Whether a pin or a hold needs `@digest`: itself, or something that names it, in turn. Asked from below,
 * because what names one blob is few rows, and what all pins name is a large part of the catalog.
 */
const IS_KEPT = `EXISTS (
  WITH RECURSIVE above (repository, digest) AS (
    SELECT repository, digest FROM pins WHERE digest = @digest
    UNION
    SELECT repository, digest FROM tags WHERE digest = @digest
    UNION
    SELECT repository, parent FROM children WHERE digest = @digest
    UNION
    SELECT c.repository, c.parent FROM above a
    CROSS JOIN children c ON c.repository = a.repository AND c.digest = a.digest
  )
  SELECT 1 FROM above a WHERE EXISTS (
    SELECT 1 FROM pins p WHERE p.repository = a.repository AND p.digest = a.digest
  ) OR EXISTS (
    SELECT 1 FROM tags t INDEXED BY tags_by_digest
    CROSS JOIN holds h ON h.repository = t.repository AND h.tag = t.tag
    WHERE t.repository = a.repository AND t.digest = a.digest
  )
)`

interface RankedRow {
  readonly digest: Digest
  readonly size: number
  readonly ranked_at: number
}

/** What goes, in which order, and what goes with it. */
export function evictionStatements(database: Database) {
  return { ...orderStatements(database), ...tombStatements(database), ...goneStatements(database) }
}

function orderStatements(database: Database) {
  return {
    // From where the last page ended.
    leastUsed: database.prepare<[number, string, number], RankedRow>(
      `SELECT digest, size, ranked_at FROM blobs
       WHERE dead = 0 AND (ranked_at, digest) > (?, ?) ORDER BY ranked_at, digest LIMIT ?`,
    ),
    keepsAny: database.prepare<[], 1>(
      'SELECT 1 WHERE EXISTS (SELECT 1 FROM pins) OR EXISTS (SELECT 1 FROM holds)',
    ),
    // Most of what is kept, found in a tenth of the time.
    isInPinned: database.prepare<[Digest], 1>(
      `SELECT 1 FROM children c INDEXED BY children_by_digest
       CROSS JOIN pins p ON p.repository = c.repository AND p.digest = c.parent
       WHERE c.digest = ? LIMIT 1`,
    ),
    isKept: database.prepare<{ readonly digest: Digest }, { readonly is_kept: 0 | 1 }>(
      `SELECT ${IS_KEPT} AS is_kept`,
    ),
    // When a manifest that names it was used last.
    namedAt: database.prepare<[Digest], { readonly at: number | null }>(
      `SELECT max(p.used_at) AS at FROM children c INDEXED BY children_by_digest
       CROSS JOIN blobs p ON p.digest = c.parent AND p.dead = 0
       WHERE c.digest = ?`,
    ),
    // Used in the meantime, it stays where that put it.
    rank: database.prepare<[number, Digest]>(
      'UPDATE blobs SET ranked_at = max(ranked_at, ?) WHERE digest = ?',
    ),
    latestRank: database.prepare<[], { readonly at: number | null }>(
      'SELECT max(ranked_at) AS at FROM blobs WHERE dead = 0',
    ),
  }
}

function tombStatements(database: Database) {
  return {
    entomb: database.prepare<{ readonly digest: Digest }>(
      'UPDATE blobs SET dead = 1 WHERE digest = @digest',
    ),
    entombUnlessPinned: database.prepare<{ readonly digest: Digest }>(
      `UPDATE blobs SET dead = 1 WHERE digest = @digest AND NOT (${IS_KEPT})`,
    ),
    entombUnlessNamed: database.prepare<{ readonly digest: Digest }>(
      `UPDATE blobs SET dead = 1 WHERE digest = @digest AND NOT (${IS_NAMED('@digest')})`,
    ),
    // To the end of the order, so that what cannot go is not tried before all that can.
    revive: database.prepare<[Digest]>(
      `UPDATE blobs SET dead = 0, ranked_at = max(ranked_at, coalesce(
         (SELECT max(ranked_at) + 1 FROM blobs WHERE dead = 0), 0
       )) WHERE digest = ?`,
    ),
    tombstones: database.prepare<[], { readonly digest: Digest }>(
      'SELECT digest FROM blobs WHERE dead = 1',
    ),
  }
}

function goneStatements(database: Database) {
  return {
    forget: database.prepare<[Digest]>('DELETE FROM blobs WHERE digest = ?'),
    // What a manifest said goes with its bytes; a tag that names it needs its type until it is fetched again.
    forgetChildren: database.prepare<{ readonly digest: Digest }>(
      `DELETE FROM children INDEXED BY children_by_parent
       WHERE repository IN (SELECT repository FROM manifests WHERE digest = @digest)
         AND parent = @digest AND NOT (${IS_KEPT})`,
    ),
    forgetReferrer: database.prepare<{ readonly digest: Digest }>(
      `DELETE FROM referrers INDEXED BY referrers_by_digest WHERE digest = @digest
       AND repository IN (SELECT repository FROM manifests WHERE digest = @digest)`,
    ),
    forgetManifest: database.prepare<{ readonly digest: Digest }>(
      `DELETE FROM manifests AS m WHERE digest = @digest AND NOT EXISTS (
         SELECT 1 FROM tags t WHERE t.repository = m.repository AND t.digest = m.digest
       )`,
    ),
    totals: database.prepare<[], { readonly bytes: number; readonly blobs: number }>(
      'SELECT coalesce(sum(size), 0) AS bytes, count(*) AS blobs FROM blobs',
    ),
  }
}
