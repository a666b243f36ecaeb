import type Database from 'better-sqlite3'
import { StartError } from '../core/start-error.ts'

/**
 * The catalog's tables. What belongs to a repository carries the repository's number; only `blobs` is
 * about bytes, and shared.
 *
 * ```
 * repositories    id, upstream, name          docker.io, library/alpine
 * tags            repository, tag             → digest and checked_at (ms), when upstream last said so
 * manifests       repository, digest          media type and size as this repository published them
 * children        repository, digest, parent  what a held manifest (parent) names, with the size it states
 * referrers       repository, subject, digest what a held manifest (digest) is attached to, and as what
 * referrer_lists  upstream, name, subject     what upstream said refers to it, and when; size counts towards
 *                                             their limit. Asking adds a row, and must not add a repository
 * links           repository, digest          may serve it: landed = 1 downloaded here, 0 proved by upstream
 * blobs           digest                      stored bytes: size, used_at (ms), dead = 1 being evicted
 * ```
 */
const TABLES = `
CREATE TABLE repositories (
  id INTEGER PRIMARY KEY,
  upstream TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (upstream, name)
) STRICT;
CREATE TABLE tags (
  repository INTEGER NOT NULL,
  tag TEXT NOT NULL,
  digest TEXT NOT NULL,
  checked_at INTEGER NOT NULL,
  PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE manifests (
  repository INTEGER NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE children (
  repository INTEGER NOT NULL,
  digest TEXT NOT NULL,
  parent TEXT NOT NULL,
  size INTEGER NOT NULL,
  PRIMARY KEY (repository, digest, parent)
) STRICT, WITHOUT ROWID;
CREATE TABLE links (
  digest TEXT NOT NULL,
  repository INTEGER NOT NULL,
  landed INTEGER NOT NULL,
  PRIMARY KEY (digest, repository)
) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  dead INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_use ON blobs (used_at) WHERE dead = 0;
`

/** Manifests that were stored before are not in it: upstream's lists name them. */
const REFERRERS = `
CREATE TABLE referrers (
  repository INTEGER NOT NULL,
  subject TEXT NOT NULL,
  digest TEXT NOT NULL,
  artifact_type TEXT,
  annotations TEXT,
  PRIMARY KEY (repository, subject, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE referrer_lists (
  upstream TEXT NOT NULL,
  name TEXT NOT NULL,
  subject TEXT NOT NULL,
  checked_at INTEGER NOT NULL,
  source TEXT NOT NULL,
  size INTEGER NOT NULL,
  referrers TEXT NOT NULL,
  UNIQUE (upstream, name, subject)
) STRICT;
CREATE INDEX referrer_lists_by_check ON referrer_lists (checked_at, size);
CREATE INDEX referrer_lists_from_api ON referrer_lists (upstream, name) WHERE source = 'api';
CREATE INDEX repositories_by_full_name ON repositories (upstream || '/' || name);
`

/** The step at index n makes a file of version n into one of version n + 1; a new file takes them all. */
const STEPS = [TABLES, REFERRERS]
const VERSION = STEPS.length

/** Settings that belong to the connection, not to the file: SQLite forgets them at every open. */
export function configure(database: Database.Database): void {
  database.pragma('journal_mode = WAL')
  // A pulled blob can be pulled again: losing the last second at a power cut costs a download.
  database.pragma('synchronous = NORMAL')
  database.pragma('busy_timeout = 100')
  database.pragma('trusted_schema = OFF')
  database.pragma('cell_size_check = ON')
  database.pragma('journal_size_limit = 67108864')
}

/** Brings a new file or one of an older version up to date; refuses a newer one's. Throws StartError. */
export function migrate(database: Database.Database, path: string): void {
  const found = Number(database.pragma('user_version', { simple: true }))
  if (found === VERSION) return
  if (found < 0 || found > VERSION) {
    const hint =
      'use the version of oci-mirror that wrote it, or another data directory (storage.dir)'
    throw new StartError(
      `the catalog ${path} has version ${found}, this program reads ${VERSION}: ${hint}`,
    )
  }
  database.transaction(() => {
    for (const step of STEPS.slice(found)) database.exec(step)
    database.pragma(`user_version = ${VERSION}`)
  })()
}
