import type { Database } from 'better-sqlite3'
import type { ServedImage } from '../core/maintenance/inventory.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag, UpstreamName } from '../oci/reference.ts'
import { rowsOf } from './turns.ts'
import type { UseTimes } from './use-times.ts'

/** Rows of one query: some milliseconds. */
const PAGE = 500
/** Between what a client is told of a tag and what it asks for next, by digest. */
const PULL_MS = 10 * 60_000

interface Row {
  readonly repository: number
  readonly upstream: UpstreamName
  readonly name: RepositoryName
  readonly is_served: 0 | 1
}

interface TagRow extends Row {
  readonly tag: Tag
}

interface ManifestRow extends Row {
  readonly digest: Digest
}

/**
 * What clients have been given since then (ms): tags, then what they asked for by its digest and know by no tag.
 * Clients ask for a tag, and then for what it names by digest: all of that is the tag.
 */
export class ServedImages {
  readonly #times: Pick<UseTimes, 'write'>
  readonly #sql: ReturnType<typeof prepare>

  constructor(database: Database, times: Pick<UseTimes, 'write'>) {
    this.#times = times
    this.#sql = prepare(database)
  }

  async since(since: number): Promise<readonly ServedImage[]> {
    this.#times.write()
    const { tags, manifests } = this.#sql
    const limit = PAGE
    const served: ServedImage[] = []
    const tagged = rowsOf<TagRow>((last) =>
      tags.all({ since, id: last?.repository ?? 0, tag: last?.tag ?? '', limit }),
    )
    for await (const row of tagged) {
      if (row.is_served === 1) served.push(toImage(row, { tag: row.tag }))
    }
    const others = rowsOf<ManifestRow>((last) =>
      manifests.all({ since, id: last?.repository ?? 0, digest: last?.digest ?? '', limit }),
    )
    for await (const row of others) {
      if (row.is_served === 1) served.push(toImage(row, { digest: row.digest }))
    }
    return served
  }
}

function toImage<Name>({ upstream, name }: Row, reference: Name) {
  return { repository: { upstream, name }, ...reference }
}

function isTagServed(manifest: string, since: string): string {
  return `EXISTS (
    SELECT 1 FROM tags t INDEXED BY tags_by_digest
    WHERE t.digest = ${manifest}.digest AND t.repository = ${manifest}.repository
      AND t.served_at >= ${since}
  )`
}

function prepare(database: Database) {
  type Page<Name extends string> = Readonly<Record<'since' | 'id' | 'limit', number>> &
    Readonly<Record<Name, string>>
  return {
    // Where nobody knows by which of its tags a manifest was given, by each of them.
    tags: database.prepare<Page<'tag'>, TagRow>(
      `SELECT x.repository, r.upstream, r.name, x.tag, x.served_at >= @since OR (
         EXISTS (
           SELECT 1 FROM manifests m
           WHERE m.repository = x.repository AND m.digest = x.digest AND m.served_at >= @since
         ) AND NOT ${isTagServed('x', '@since')}
       ) AS is_served
       FROM tags x JOIN repositories r ON r.id = x.repository
       WHERE (x.repository, x.tag) > (@id, @tag) ORDER BY x.repository, x.tag LIMIT @limit`,
    ),
    manifests: database.prepare<Page<'digest'>, ManifestRow>(
      `SELECT m.repository, r.upstream, r.name, m.digest, m.served_at >= @since
         AND NOT EXISTS (
           SELECT 1 FROM tags t INDEXED BY tags_by_digest
           WHERE t.digest = m.digest AND t.repository = m.repository
         )
         -- It comes with what it is attached to.
         AND NOT EXISTS (
           SELECT 1 FROM referrers f INDEXED BY referrers_by_digest
           WHERE f.repository = m.repository AND f.digest = m.digest
         )
         -- It is one of the images of an index that was given just before.
         AND NOT EXISTS (
           SELECT 1 FROM children c
           CROSS JOIN manifests p ON p.repository = c.repository AND p.digest = c.parent
           WHERE c.repository = m.repository AND c.digest = m.digest
             AND (p.served_at >= m.served_at - ${PULL_MS}
               OR ${isTagServed('p', `m.served_at - ${PULL_MS}`)})
         )
         -- A tag named it at that time, and has moved on.
         AND NOT EXISTS (
           SELECT 1 FROM tag_history h INDEXED BY tag_history_by_digest WHERE h.repository = m.repository AND h.digest = m.digest
             AND m.served_at < ${PULL_MS} + coalesce((
               SELECT n.at FROM tag_history n
               WHERE n.repository = h.repository AND n.tag = h.tag AND n.id > h.id ORDER BY n.id LIMIT 1
             ), m.served_at)
         ) AS is_served
       FROM manifests m JOIN repositories r ON r.id = m.repository
       WHERE (m.repository, m.digest) > (@id, @digest) ORDER BY m.repository, m.digest LIMIT @limit`,
    ),
  }
}
