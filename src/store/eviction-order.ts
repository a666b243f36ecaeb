import type Database from 'better-sqlite3'
import type { Evictable } from '../core/ports.ts'
import type { Digest } from '../oci/digest.ts'
import type { Statements } from './catalog-statements.ts'
import { Turns } from './turns.ts'

/** Rows of one query. */
const PAGE = 128

/**
 * Least recently used first, what a pin or a hold needs not at all. A row that comes up although a manifest
 * that names it was used since takes its place further back: so a rank is mended only when it decides
 * something. Rows may be dropped meanwhile.
 */
export async function* evictionOrder(
  database: Database.Database,
  sql: Statements,
): AsyncIterable<Evictable> {
  const turns = new Turns()
  let rank = -1
  let last = ''
  for (;;) {
    const page = sql.leastUsed.all(rank, last, PAGE)
    const latest = sql.latestRank.get()?.at ?? 0
    const keepsAny = sql.keepsAny.get() !== undefined
    const kept = new Set<Digest>()
    const later = new Map<Digest, number>()
    for (const { digest, ranked_at } of page) {
      const isKept = keepsAny && isKeptBy(sql, digest)
      if (isKept) kept.add(digest)
      // Kept ones go to the end, so that nobody walks past all of them each time.
      const at = isKept ? latest : (sql.namedAt.get(digest)?.at ?? 0)
      if (at > ranked_at) later.set(digest, at)
      // A layer that thousands of manifests name takes as long as all others of its page.
      await turns.next()
    }
    rerank(database, sql, later)
    for (const { digest, size, ranked_at } of page) {
      if (!kept.has(digest) && !later.has(digest)) yield { digest, size, usedAt: ranked_at }
      rank = ranked_at
      last = digest
    }
    if (page.length < PAGE && later.size === 0) return
    await turns.next()
  }
}

function isKeptBy(sql: Statements, digest: Digest): boolean {
  return sql.isInPinned.get(digest) !== undefined || sql.isKept.get({ digest })?.is_kept === 1
}

function rerank(
  database: Database.Database,
  sql: Statements,
  later: ReadonlyMap<Digest, number>,
): void {
  if (later.size === 0) return
  try {
    database.transaction(() => {
      for (const [digest, at] of later) sql.rank.run(at, digest)
    })()
  } catch {
    // A disk so full that not even this can be written: these rows stay where they are, passed over.
  }
}
