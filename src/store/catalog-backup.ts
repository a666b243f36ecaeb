import { findFault, findFaultAside } from './catalog-fault.ts'
import type { Fs } from './fs.ts'
import { nodeFs } from './fs.ts'
import type { Layout } from './layout.ts'
import { syncDirectory, syncPath } from './sync-path.ts'

/** What a backup asks of the catalog. */
interface BackedUp {
  /** Grows with everything that is worth a backup. */
  changes(): number
  copyTo(path: string): Promise<void>
}

/** Keeps `catalog.backup`: the whole catalog as it was at some moment, replaced in one step. */
export class CatalogBackup {
  readonly #catalog: BackedUp
  readonly #layout: Layout
  readonly #fs: Fs
  readonly #isServing: () => boolean
  /** `changes()` of the catalog that is backed up. */
  #covered: number | undefined
  #running: Promise<void> = Promise.resolve()

  /** `isServing`: there are clients who would notice if this took all of the thread. */
  constructor(
    catalog: BackedUp,
    layout: Layout,
    fs: Fs = nodeFs,
    isServing: () => boolean = () => true,
  ) {
    this.#catalog = catalog
    this.#layout = layout
    this.#fs = fs
    this.#isServing = isServing
  }

  /**
   * When it resolves, everything that was in the catalog when it was called is in a backup that survives
   * the loss of power. One at a time; nothing is done if nothing has changed. A damaged catalog takes no good
   * backup's place: then it throws, and the next start restores that.
   */
  run(): Promise<void> {
    this.#running = this.#running.then(
      () => this.#write(),
      // That one's caller was told; this one begins anew.
      () => this.#write(),
    )
    return this.#running
  }

  async #write(): Promise<void> {
    const changes = this.#catalog.changes()
    if (changes === this.#covered) return
    const { root, backup, catalog, suspect } = this.#layout
    const path = `${backup}.new`
    // What a run that was killed left there would be taken for the beginning of this one.
    await this.#fs.remove(path)
    await this.#catalog.copyTo(path)
    // A thread of its own takes memory that a single command can do without.
    const fault = this.#isServing() ? await findFaultAside(path) : findFault(path)
    if (fault !== undefined) {
      await this.#fs.rename(path, suspect)
      const hint = 'restart the mirror, which then restores its last good backup'
      throw new Error(`the catalog ${catalog} is damaged (${fault}): ${hint}`)
    }
    await syncPath(this.#fs, path)
    await this.#fs.rename(path, backup)
    await syncDirectory(this.#fs, root)
    this.#covered = changes
  }
}
