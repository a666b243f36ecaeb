import type {
  ImagesRequest,
  ListQuery,
  MaintenanceApi,
  VerifyImages,
} from '../core/maintenance/maintenance-api.ts'
import type { Operations } from '../core/operations.ts'
import { AdminRequests } from './admin-request.ts'
import { createCheckClient } from './check-client.ts'
import { createExportClient } from './export-client.ts'
import { createWarmClient } from './warm-client.ts'
import { createImportClient } from './import-client.ts'

const VERIFY_HINT = 'see its log, and run the command again: it goes on where it stopped'

/** Asks the running mirror, by its admin API at `origin`. Its refusals are thrown as they are there. */
export function createAdminClient(origin: string): Operations {
  const requests = new AdminRequests(origin)
  return {
    maintenance: createMaintenanceClient(requests),
    warm: createWarmClient(requests),
    check: createCheckClient(requests),
    exports: createExportClient(requests),
    imports: createImportClient(requests),
  }
}

function createMaintenanceClient(requests: AdminRequests): MaintenanceApi {
  return {
    stats: () => requests.get('stats'),
    images: (query: ListQuery) => requests.get('images', query),
    repositories: (query: ListQuery) => requests.get('repositories', query),
    blobs: (query: ListQuery) => requests.get('blobs', query),
    show: (reference) => requests.get('image', { reference }),
    history: (reference) => requests.get('history', { reference }),
    remove: (body) => requests.post('rm', body),
    pin: (body: ImagesRequest) => requests.post('pin', body),
    unpin: (body: ImagesRequest) => requests.post('unpin', body),
    hold: (reference) => requests.post('hold', { reference }),
    release: (reference) => requests.post('release', { reference }),
    gc: (dryRun) => requests.post('gc', { dryRun }),
    verify: (body: VerifyImages, onProgress, signal) =>
      requests.follow('verify', body, onProgress, VERIFY_HINT, signal),
  }
}
