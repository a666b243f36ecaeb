import type { ExportApi, ExportPlan, ExportRequest } from '../../core/airgap/export-api.ts'
import type { WarmDefaults } from '../../core/airgap/platform-choice.ts'
import { readPlatformChoice } from '../../core/airgap/platform-choice.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import type { BlobStore, Catalog, Clock } from '../../core/ports.ts'
import { DigestMismatch } from '../../core/ports.ts'
import type { Digest } from '../../oci/digest.ts'
import { BlobChunks } from './blob-chunks.ts'
import type { PlanDeps } from './plan-export.ts'
import { planExport } from './plan-export.ts'

export interface ExportDeps extends PlanDeps {
  readonly catalog: PlanDeps['catalog'] & Pick<Catalog, 'touch'>
  readonly store: Pick<BlobStore, 'open' | 'stat'>
  readonly clock: Clock
  readonly warmDefaults: WarmDefaults
}

/** Gives out what is here, for a bundle. */
export class Exports implements ExportApi {
  readonly #deps: ExportDeps

  constructor(deps: ExportDeps) {
    this.#deps = deps
  }

  async plan(request: ExportRequest): Promise<ExportPlan> {
    const { catalog, clock, warmDefaults } = this.#deps
    const choice = readPlatformChoice(request.platforms ?? warmDefaults.platforms)
    const plan = await planExport(request, choice, this.#deps)
    if (request.dryRun === true) return plan
    const now = clock.now()
    for (const { digest } of plan.blobs) catalog.touch(digest, now)
    return plan
  }

  async read(digest: Digest, start: number, signal: AbortSignal) {
    const { inventory, store } = this.#deps
    const row = await inventory.blob(digest)
    const blob = row && (await store.open(digest, row.size))
    if (row === undefined || blob === undefined) {
      // A file goes before its row does.
      if ((await inventory.blob(digest)) !== undefined) throw unreadable(digest)
      const hint = 'it was removed or evicted meanwhile: export again'
      throw new MaintenanceError('unknown', `${digest} is not here: ${hint}`)
    }
    return { size: row.size, body: new BlobChunks(blob, { start, end: row.size }, signal) }
  }
}

function unreadable(digest: Digest): DigestMismatch {
  return new DigestMismatch(`the file of ${digest} is missing, or is not as long as it should be`)
}
