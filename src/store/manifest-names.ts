import type { Database, Statement } from 'better-sqlite3'
import type { RecordedManifest } from '../core/ports.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'

/** What manifests name, and what they are attached to: written with their rows, pulled or imported. */
export class ManifestNames {
  readonly #putChild: Statement<[number, Digest, Digest, number]>
  readonly #putReferrer: Statement<[number, Digest, Digest, string | null, string | null]>

  constructor(database: Database) {
    this.#putChild = database.prepare(
      `INSERT INTO children (repository, digest, parent, size) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
    )
    this.#putReferrer = database.prepare(
      `INSERT INTO referrers (repository, subject, digest, artifact_type, annotations)
       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    )
  }

  /** `id` is the repository's number. */
  put(id: number, manifest: RecordedManifest, children: readonly Descriptor[]): void {
    const { digest, subject, artifactType = null, annotations } = manifest
    if (subject !== undefined) {
      const text = annotations === undefined ? null : JSON.stringify(annotations)
      this.#putReferrer.run(id, subject, digest, artifactType, text)
    }
    for (const child of children) this.#putChild.run(id, child.digest, digest, child.size)
  }
}
