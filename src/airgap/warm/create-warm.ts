import type { WarmDefaults } from '../../core/airgap/platform-choice.ts'
import { readPlatformChoice } from '../../core/airgap/platform-choice.ts'
import type { WarmApi, WarmRequest } from '../../core/airgap/warm-api.ts'
import type { WarmSource } from '../../core/airgap/warm-source.ts'
import type { Durability } from '../../core/maintenance/durability.ts'
import type { Naming } from '../../core/maintenance/image-name.ts'
import type { Inventory } from '../../core/maintenance/inventory.ts'
import { MaintenanceError } from '../../core/maintenance/maintenance-error.ts'
import { pinImages } from '../../core/maintenance/pins.ts'
import type { BlobStore, Clock } from '../../core/ports.ts'
import { toTargets } from './targets.ts'
import type { WarmingPlan } from './warming.ts'
import { Warming } from './warming.ts'

const DEFAULT_JOBS = 4
/** Each has up to three downloads, and an upstream has 16 slots for them by default. */
const MAX_JOBS = 32

export interface WarmDeps {
  readonly warmSource: WarmSource
  readonly warmDefaults: WarmDefaults
  readonly store: Pick<BlobStore, 'space'>
  readonly inventory: Inventory
  readonly durability: Durability
  readonly naming: Naming
  readonly clock: Clock
}

/**
 * Warms by way of the mirror's own requests. Several may run at once: they share what they fetch, and what
 * clients do, and keep none of the other operations waiting.
 */
export function createWarm(deps: WarmDeps): WarmApi {
  return {
    async warm(request, onProgress, signal) {
      const { warmSource: source, store, clock } = deps
      const plan = toPlan(request, deps)
      const warming = new Warming(plan, { source, store, clock }, onProgress, signal)
      const report = await warming.run(signal)
      const isPinned = request.pin && !request.dryRun && warming.complete.length > 0
      if (isPinned) await pinImages(warming.complete, deps)
      return report
    },
  }
}

function toPlan(request: WarmRequest, { naming, warmDefaults }: WarmDeps): WarmingPlan {
  const { images, jobs = DEFAULT_JOBS, dryRun, failFast } = request
  const { platforms = warmDefaults.platforms, referrers = warmDefaults.referrers } = request
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > MAX_JOBS) {
    const what = `${jobs} is no number of images at a time`
    throw new MaintenanceError('invalid', `${what}: it is between 1 and ${MAX_JOBS}`)
  }
  const targets = toTargets(images, naming)
  if (targets.length === 0) throw new MaintenanceError('invalid', 'no image is named')
  return { targets, choice: readPlatformChoice(platforms), referrers, dryRun, jobs, failFast }
}
