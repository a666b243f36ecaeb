import type { CheckApi } from './airgap/check-api.ts'
import type { ExportApi } from './airgap/export-api.ts'
import type { ImportApi } from './airgap/import-api.ts'
import type { WarmApi } from './airgap/warm-api.ts'
import type { MaintenanceApi } from './maintenance/maintenance-api.ts'

/**
 * All that can be asked of a mirror besides content, by the command line: of one that runs, over its admin
 * listener, or of its data directory if none does.
 */
export interface Operations {
  readonly maintenance: MaintenanceApi
  readonly warm: WarmApi
  readonly check: CheckApi
  readonly exports: ExportApi
  readonly imports: ImportApi
}
