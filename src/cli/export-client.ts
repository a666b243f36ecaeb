import type { ExportApi } from '../core/airgap/export-api.ts'
import { StartError } from '../core/start-error.ts'
import type { Digest } from '../oci/digest.ts'
import type { AdminRequests } from './admin-request.ts'

/** The running mirror's export. */
export function createExportClient(requests: AdminRequests): ExportApi {
  return {
    plan: (request) => requests.post('export', request),
    async read(digest, start, signal) {
      const response = await requests.open('blob', { digest, start }, signal)
      const rest = Number(response.headers['content-length'])
      return { size: start + rest, body: whole(response, digest, signal) }
    },
  }
}

/** A body that is cut short is all that the mirror can say once it has begun. */
async function* whole(
  body: AsyncIterable<Uint8Array>,
  digest: Digest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (cause) {
    signal.throwIfAborted()
    throw new StartError(
      `the mirror ended in the middle of ${digest}: see its log; if the blob is damaged, run \`oci-mirror verify --repair\`, and export again`,
      { cause },
    )
  }
}
