import { Checks } from './airgap/check/checks.ts'
import { Exports } from './airgap/export/exports.ts'
import { Importer } from './airgap/import/importer.ts'
import { createWarm } from './airgap/warm/create-warm.ts'
import type { WarmDefaults } from './core/airgap/platform-choice.ts'
import type { WarmSource } from './core/airgap/warm-source.ts'
import type { MaintenanceDeps } from './core/maintenance/maintenance.ts'
import { Maintenance } from './core/maintenance/maintenance.ts'
import type { Operations } from './core/operations.ts'
import type { UpstreamEntry } from './core/upstream-entry.ts'
import type { UpstreamName } from './oci/reference.ts'

export interface OperationsDeps extends MaintenanceDeps {
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamEntry>
  readonly warmDefaults: WarmDefaults
  readonly warmSource: WarmSource
}

/** What can be asked of this mirror besides content. */
export function createOperations(parts: OperationsDeps): Operations {
  return {
    maintenance: new Maintenance(parts),
    warm: createWarm(parts),
    check: new Checks(parts),
    exports: new Exports(parts),
    imports: new Importer({ ...parts, imports: parts.inventory.imports }),
  }
}
