import type { ImportApi } from '../core/airgap/import-api.ts'
import type { AdminRequests } from './admin-request.ts'

/** The running mirror's import. */
export function createImportClient(requests: AdminRequests): ImportApi {
  return {
    plan: (offer) => requests.post('import/plan', offer),
    put: ({ size, ...query }, body, signal) =>
      requests.put('import/blob', query, size, body, signal),
    commit: (request) => requests.post('import/commit', request),
  }
}
