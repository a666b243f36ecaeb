import type { MaintenanceApi } from './maintenance/maintenance-api.ts'

/**
 * All that can be asked of a mirror besides content, by the command line: of one that runs, over its admin
 * listener, or of its data directory if none does.
 */
export interface Operations {
  readonly maintenance: MaintenanceApi
}
