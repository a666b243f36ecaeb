import type { UpstreamName } from '../oci/reference.ts'
import type { Upstream } from './upstream.ts'
import type { Lanes } from './upstream-entry.ts'
import { UpstreamFailure } from './upstream-failure.ts'

/**
 * Stands where the client of a registry would, and has nothing to reach one with: no address, no credentials,
 * no socket. What asks it all the same is told why there is no answer.
 */
export function offlineUpstream(name: UpstreamName): Lanes {
  const client: Upstream = {
    headManifest: () => refuse(name),
    getManifest: () => refuse(name),
    getBlob: () => refuse(name),
    resumeBlob: () => refuse(name),
    getBlobRange: () => refuse(name),
    probeBlob: () => refuse(name),
    listTags: () => refuse(name),
    listReferrers: () => refuse(name),
    state: () => ({ endpoints: [], isSaving: false, underWay: 0, queued: 0, background: 0 }),
    close: () => Promise.resolve(),
  }
  return { client, background: client }
}

function refuse(name: UpstreamName): Promise<never> {
  const message = `${name} is offline in this mirror: it is asked for nothing (its \`mode\`, or --offline)`
  return Promise.reject(new UpstreamFailure('offline', message, { wasAsked: false }))
}
