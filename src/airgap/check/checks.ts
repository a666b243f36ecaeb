import type {
  CheckApi,
  CheckReport,
  CheckRequest,
  InventoryReport,
  UnlistedReport,
} from '../../core/airgap/check-api.ts'
import { formatImage } from '../../core/maintenance/image-name.ts'
import type { CheckDeps } from './check-images.ts'
import { checkImages } from './check-images.ts'
import { findUnlisted } from './find-unlisted.ts'
import { takeInventory } from './take-inventory.ts'

/** Looks at what is here, and asks no upstream. */
export class Checks implements CheckApi {
  readonly #deps: CheckDeps

  constructor(deps: CheckDeps) {
    this.#deps = deps
  }

  check(request: CheckRequest): Promise<CheckReport> {
    return checkImages(request, this.#deps)
  }

  inventory(): Promise<InventoryReport> {
    return takeInventory(this.#deps)
  }

  async served(since: number): Promise<readonly string[]> {
    return (await this.#deps.inventory.served(since)).map(formatImage)
  }

  unlisted(references: readonly string[]): Promise<UnlistedReport> {
    return findUnlisted(references, this.#deps)
  }
}
