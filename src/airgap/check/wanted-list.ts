import type { ImageName, Naming } from '../../core/maintenance/image-name.ts'
import { formatImage, parseImageName } from '../../core/maintenance/image-name.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag } from '../../oci/reference.ts'
import { formatRepository, parseTag } from '../../oci/reference.ts'

const LATEST = parseTag('latest') as Tag
const SHOWN = 5

interface Named {
  readonly repository: Repository
  readonly tag?: Tag
  readonly digest: Digest
}

/** Images that somebody wants to keep, and which of them have been found. */
export class WantedList {
  /** What was written, by each full name that it means. */
  readonly #references = new Map<string, string>()
  readonly #digests = new Map<string, Digest[]>()
  readonly #found = new Set<string>()

  /** Throws MaintenanceError for an empty list, and for one with anything in it that is no image. */
  static read(references: readonly string[], naming: Naming): WantedList {
    if (references.length === 0) {
      throw new MaintenanceError('invalid', 'the list is empty: it would keep nothing')
    }
    const list = new WantedList()
    const problems: string[] = []
    for (const reference of references) {
      try {
        list.#add(reference, parseImageName(reference, naming))
      } catch (reason) {
        if (!(reason instanceof MaintenanceError)) throw reason
        problems.push(reason.message)
      }
    }
    if (problems.length === 0) return list
    const shown = problems.slice(0, SHOWN).join('; ')
    const more = problems.length > SHOWN ? `; and ${problems.length - SHOWN} more` : ''
    throw new MaintenanceError('invalid', `the list cannot be used: ${shown}${more}`)
  }

  /** By its tag, or by its digest whatever the tag is. */
  names({ repository, tag, digest }: Named): boolean {
    const names = [{ repository, digest }, ...(tag === undefined ? [] : [{ repository, tag }])]
    return names.filter((name) => this.#find(name)).length > 0
  }

  /** A digest that is listed and would go with this image. */
  async partOf({ repository, digest }: Named, inventory: Inventory): Promise<Digest | undefined> {
    const wanted = this.#digests.get(formatRepository(repository))
    if (wanted === undefined) return undefined
    const closure = new Set(await inventory.closure(repository, digest))
    const parts = wanted.filter((one) => closure.has(one))
    for (const part of parts) this.#find({ repository, digest: part })
    return parts[0]
  }

  /** `absent`: as they were written. */
  outcome(): { readonly found: number; readonly absent: readonly string[] } {
    const all = new Set(this.#references.values())
    return { found: this.#found.size, absent: [...all].filter((one) => !this.#found.has(one)) }
  }

  #add(reference: string, { repository, tag, digest }: ImageName): void {
    if (tag !== undefined || digest === undefined) {
      this.#references.set(formatImage({ repository, tag: tag ?? LATEST }), reference)
    }
    if (digest === undefined) return
    this.#references.set(formatImage({ repository, digest }), reference)
    const name = formatRepository(repository)
    this.#digests.set(name, [...(this.#digests.get(name) ?? []), digest])
  }

  #find(name: ImageName): boolean {
    const reference = this.#references.get(formatImage(name))
    if (reference !== undefined) this.#found.add(reference)
    return reference !== undefined
  }
}
