import type { MaintenanceDeps } from './core/maintenance/maintenance.ts'
import { Maintenance } from './core/maintenance/maintenance.ts'
import type { Operations } from './core/operations.ts'

/** What can be asked of this mirror besides content. */
export function createOperations(parts: MaintenanceDeps): Operations {
  return { maintenance: new Maintenance(parts) }
}
