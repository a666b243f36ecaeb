import type { CheckApi } from '../core/airgap/check-api.ts'
import type { AdminRequests } from './admin-request.ts'

/** What the running mirror has. */
export function createCheckClient(requests: AdminRequests): CheckApi {
  return {
    check: (request) => requests.post('check', request),
    inventory: () => requests.get('inventory'),
    served: (since) => requests.get('served', { since }),
    unlisted: (references) => requests.post('unlisted', { references }),
  }
}
