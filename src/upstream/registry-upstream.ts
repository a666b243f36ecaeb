import type { Upstream } from '../core/ports.ts'
import { Authorizer } from './authorizer.ts'
import { getBlob, getBlobRange, probeBlob } from './blobs.ts'
import { CredentialSource } from './credential-source.ts'
import type { Endpoint } from './endpoints.ts'
import { inOrder } from './endpoints.ts'
import { limited } from './limited.ts'
import { listReferrers } from './referrers.ts'
import { listTags } from './tag-list.ts'
import { getManifest, headManifest } from './manifests.ts'
import type { RegistryOptions, UpstreamDeps } from './options.ts'
import { RegistryClient } from './registry-client.ts'
import { Tokens } from './tokens.ts'
import { Transport } from './transport.ts'

/**
 * The client of one real registry. Opens no connection before the first request. Throws if the options
 * cannot work (a `ca` that is no certificate).
 */
export function openUpstream(options: RegistryOptions, deps: UpstreamDeps): Upstream {
  const transport = new Transport(options, deps)
  const credentials = options.credentials && new CredentialSource(options.credentials, deps.clock)
  const endpoints = options.endpoints.map((url) => {
    const authorizer = new Authorizer(url, options, new Tokens(transport, deps.clock), credentials)
    return endpointOf(new RegistryClient(url, transport, authorizer, deps.clock))
  })
  const registry = limited(inOrder(endpoints), options.connections, options.name)
  return {
    ...registry,
    async close() {
      credentials?.close()
      await transport.close()
    },
  }
}

function endpointOf(client: RegistryClient): Endpoint {
  return {
    headManifest: (...request) => headManifest(client, ...request),
    getManifest: (...request) => getManifest(client, ...request),
    getBlob: (...request) => getBlob(client, ...request),
    getBlobRange: (...request) => getBlobRange(client, ...request),
    probeBlob: (...request) => probeBlob(client, ...request),
    listTags: (...request) => listTags(client, ...request),
    listReferrers: (...request) => listReferrers(client, ...request),
  }
}
