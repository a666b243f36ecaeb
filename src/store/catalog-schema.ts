import type Database from 'better-sqlite3'
import { StartError } from '../core/start-error.ts'

/**
 * The catalog's tables. What belongs to a repository carries the repository's number; only `blobs` is
 * about bytes, and shared.
 *
 * ```
 * repositories    id, upstream, name          docker.io, library/alpine
 * tags            repository, tag             → digest and checked_at (ms), when upstream last said so;
 *                                             served_at (ms): a client was last given it by this name, or 0
 * manifests       repository, digest          media type and size as this repository published them;
 *                                             served_at (ms): a client last asked for it by its digest, or 0
 * children        repository, digest, parent  what a held manifest (parent) names, with the size it states
 * referrers       repository, subject, digest what a held manifest (digest) is attached to, and as what
 * referrer_lists  upstream, name, subject     what upstream said refers to it, and when; size counts towards
 *                                             their limit. Asking adds a row, and must not add a repository
 * links           repository, digest          may serve it: landed = 1 downloaded here, 0 proved by upstream
 * blobs           digest                      stored bytes: size, used_at (ms), dead = 1 being evicted, ranked_at
 *                                             (ms): used_at, or later if a manifest that names it was used later
 *                                             durability: 0 may still be in the machine's memory only, 1 on
 *                                             disk, 2 suspect, because the machine went down before it was 1
 *                                             adopted_at (ms): found as a file, and nobody has proved since to
 *                                             whom it belongs; else NULL. brought_by: the id of the bundle that an
 *                                             import took it from, as long as it is nobody's; else NULL
 * tag_history     id, repository, tag         appended when a tag's row changes: digest (NULL: dropped) and at (ms)
 * holds           repository, tag             the tag stays at its row's digest, which is kept as a pinned one is;
 *                                             with the manifest's type and size
 * pins            repository, digest          the manifest, and what it names in turn, is never evicted
 * imports         repository, tag             the digest that an import gave it, when (at, ms), and from which bundle
 *                                             (id, or NULL, and name); as long as the tag has that digest
 * bundles         id                          imported here: name, created_at (ms, where it was made) and at (ms)
 * boots           one row                     the boot of the machine that the catalog was last used in
 * verify_run      one row                     how far a verification has come, so that the next one goes on there
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

/** The history begins with the tags that are there. */
const UPKEEP = `
CREATE TABLE tag_history (
  id INTEGER PRIMARY KEY,
  repository INTEGER NOT NULL,
  tag TEXT NOT NULL,
  digest TEXT,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX tag_history_by_tag ON tag_history (repository, tag);
INSERT INTO tag_history (repository, tag, digest, at)
  SELECT repository, tag, digest, checked_at FROM tags ORDER BY checked_at;
CREATE TABLE holds (
  repository INTEGER NOT NULL,
  tag TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE pins (
  repository INTEGER NOT NULL,
  digest TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX pins_by_digest ON pins (digest);
CREATE INDEX tags_by_digest ON tags (digest, repository);
CREATE INDEX children_by_parent ON children (repository, parent, digest, size);
CREATE TABLE verify_run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  after TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  blobs INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
`

/**
 * The rank is brought up to date when a blob is about to be evicted, so that using a manifest writes one row
 * and not one for each of its layers.
 */
const EVICTION = `
ALTER TABLE blobs ADD COLUMN ranked_at INTEGER NOT NULL DEFAULT 0;
UPDATE blobs SET ranked_at = used_at;
DROP INDEX blobs_by_use;
CREATE INDEX blobs_by_rank ON blobs (ranked_at, digest) WHERE dead = 0;
CREATE INDEX children_by_digest ON children (digest, parent);
CREATE INDEX manifests_by_digest ON manifests (digest);
CREATE INDEX referrers_by_digest ON referrers (repository, digest);
`

/** What was stored before is taken for landed a moment ago. */
const DURABILITY = `
ALTER TABLE blobs ADD COLUMN durability INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN adopted_at INTEGER;
CREATE INDEX blobs_not_durable ON blobs (durability, digest) WHERE durability <> 1;
CREATE TABLE boots (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot TEXT NOT NULL
) STRICT;
`

/** What was brought in by hand, and from where. */
const IMPORTS = `
ALTER TABLE blobs ADD COLUMN brought_by TEXT;
CREATE TABLE imports (
  repository INTEGER NOT NULL,
  tag TEXT NOT NULL,
  digest TEXT NOT NULL,
  at INTEGER NOT NULL,
  bundle TEXT,
  name TEXT NOT NULL,
  PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE TABLE bundles (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

/** Until then only clients used manifests: for those that were stored before, that is when they were given out. */
const SERVED = `
ALTER TABLE tags ADD COLUMN served_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE manifests ADD COLUMN served_at INTEGER NOT NULL DEFAULT 0;
UPDATE manifests SET served_at = coalesce(
  (SELECT used_at FROM blobs b WHERE b.digest = manifests.digest AND b.adopted_at IS NULL), 0
);
`

/** Of a tag that moves every hour, each digest that it had is looked for in its history. */
const HISTORY = `
CREATE INDEX tag_history_by_digest ON tag_history (repository, digest);
`

/** The step at index n makes a file of version n into one of version n + 1; a new file takes them all. */
const STEPS = [TABLES, REFERRERS, UPKEEP, EVICTION, DURABILITY, IMPORTS, SERVED, HISTORY]
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
