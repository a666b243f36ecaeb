import { heldAttachments } from '../../core/airgap/held-attachments.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import type { Catalog } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import { formatRepository } from '../../oci/reference.ts'
import { subjectOfTag } from '../../oci/signature-tags.ts'

interface Deps {
  readonly catalog: Pick<Catalog, 'resolve' | 'manifest' | 'heldReferrers'>
  readonly inventory: Inventory
}

/** All that some images consist of, with what is attached to them, as far as their manifests are here. */
export class HeldParts {
  readonly #deps: Deps
  readonly #byRepository = new Map<string, Set<Digest>>()
  readonly #added = new Set<string>()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async add({
    repository,
    digest,
  }: {
    readonly repository: Repository
    readonly digest: Digest
  }): Promise<void> {
    const { catalog, inventory } = this.#deps
    const name = formatRepository(repository)
    if (this.#added.has(`${name}@${digest}`)) return
    this.#added.add(`${name}@${digest}`)
    const parts = this.#byRepository.get(name) ?? new Set()
    this.#byRepository.set(name, parts)
    const subjects: Digest[] = []
    for (const part of await inventory.closure(repository, digest)) {
      parts.add(part)
      if ((await catalog.manifest(repository, part)) !== undefined) subjects.push(part)
    }
    for (const { manifest } of await heldAttachments(repository, subjects, catalog)) {
      for (const part of await inventory.closure(repository, manifest.digest)) parts.add(part)
    }
  }

  /** Whether the tag is that of a signature, an SBOM or an attestation of one of them. */
  hasSubjectOf(repository: Repository, tag: Tag | undefined): boolean {
    const subject = tag && subjectOfTag(tag)
    if (subject === undefined) return false
    return this.#byRepository.get(formatRepository(repository))?.has(subject) === true
  }

  /** Of all repositories: bytes are shared. */
  digests(): ReadonlySet<Digest> {
    return new Set([...this.#byRepository.values()].flatMap((parts) => [...parts]))
  }
}
