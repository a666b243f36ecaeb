import type { WarmApi } from '../core/airgap/warm-api.ts'
import type { AdminRequests } from './admin-request.ts'

const HINT = 'see its log, and run the command again: what has landed stays'

/** The running mirror's warming. */
export function createWarmClient(requests: AdminRequests): WarmApi {
  return {
    warm: (request, onProgress, signal) =>
      requests.follow('warm', request, onProgress, HINT, signal),
  }
}
