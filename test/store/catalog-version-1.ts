/** The tables that version 1 of the catalog had. Never changed: such files exist. */
export const VERSION_1 = `
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
PRAGMA user_version = 1;
`
