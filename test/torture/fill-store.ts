import { mkdir, open } from 'node:fs/promises'
import Database from 'better-sqlite3'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { blobDirectory, blobPath } from '../../src/store/layout.ts'
import { SqliteCatalog } from '../../src/store/sqlite-catalog.ts'

/** Bytes: the files are sparse, and hold nothing that hashes to their names. */
const BLOB_BYTES = 1_000_000
const BATCH = 500
/** An image has some layers, and is named by a tag. */
const LAYERS = 9

/** A data directory that looks like a large one: `blobs` files with their rows, links and manifests. */
export async function fillStore(root: string, blobs: number): Promise<void> {
  const directory = openDataDirectory(root)
  const { layout } = directory
  await (await SqliteCatalog.open(layout.catalog)).close()
  fillCatalog(layout.catalog, blobs)
  for (let first = 0; first < blobs; first += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, blobs - first) }, (_, n) => first + n)
    await Promise.all(
      numbers.map(async (n) => {
        await mkdir(blobDirectory(layout, digestOfNumber(n)), { recursive: true })
        const file = await open(blobPath(layout, digestOfNumber(n)), 'w', 0o440)
        await file.truncate(BLOB_BYTES)
        await file.close()
      }),
    )
  }
  directory.release()
}

function fillCatalog(path: string, blobs: number): void {
  const database = new Database(path)
  const put = {
    repository: database.prepare('INSERT INTO repositories (id, upstream, name) VALUES (?, ?, ?)'),
    blob: database.prepare(
      'INSERT INTO blobs (digest, size, used_at, ranked_at) VALUES (?, ?, ?, ?)',
    ),
    link: database.prepare('INSERT INTO links (digest, repository, landed) VALUES (?, ?, 1)'),
    child: database.prepare(
      'INSERT INTO children (repository, digest, parent, size) VALUES (?, ?, ?, ?)',
    ),
    manifest: database.prepare(
      "INSERT INTO manifests (repository, digest, media_type, size) VALUES (?, ?, 'x/y', ?)",
    ),
    tag: database.prepare(
      'INSERT INTO tags (repository, tag, digest, checked_at) VALUES (?, ?, ?, ?)',
    ),
  }
  database.transaction(() => {
    for (let n = 0; n < blobs; n += 1) {
      const digest = digestOfNumber(n)
      const image = n - (n % (LAYERS + 1))
      const repository = image + 1
      put.blob.run(digest, BLOB_BYTES, 1_000 + n, 1_000 + n)
      if (n === image) {
        put.repository.run(repository, 'docker.io', `library/app-${n}`)
        put.manifest.run(repository, digest, BLOB_BYTES)
        put.tag.run(repository, 'latest', digest, 1_000)
      } else put.child.run(repository, digest, digestOfNumber(image), BLOB_BYTES)
      put.link.run(digest, repository)
    }
  })()
  database.close()
}

/** Spread over the directories, as digests are. */
function digestOfNumber(n: number): Digest {
  const prefix = (n % 256).toString(16).padStart(2, '0')
  return `sha256:${prefix}${n.toString(16).padStart(62, '0')}` as Digest
}
