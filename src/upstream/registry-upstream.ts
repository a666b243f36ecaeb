import type { Lanes } from '../core/upstream-entry.ts'
import { Authorizer } from './authorizer.ts'
import { getBlob, getBlobRange, probeBlob, resumeBlob } from './blobs.ts'
import { CredentialSource } from './credential-source.ts'
import type { Endpoint } from './endpoints.ts'
import { circuitOf, describeHealths, healthOf, refuseWhereAllRefuse } from './endpoint-health.ts'
import type { EndpointHealth } from './endpoint-health.ts'
import { inOrder } from './endpoints.ts'
import { limited } from './limited.ts'
import { listReferrers } from './referrers.ts'
import { listTags } from './tag-list.ts'
import { getManifest, headManifest } from './manifests.ts'
import type { RegistryOptions, RequestKind, UpstreamDeps } from './options.ts'
import { RegistryClient } from './registry-client.ts'
import { Tokens } from './tokens.ts'
import { Transport } from './transport.ts'

/**
 * The client of one real registry, in its two lanes: closing either closes both. Opens no connection before
 * the first request. Throws if the options cannot work (a `ca` that is no certificate).
 */
export function openUpstream(options: RegistryOptions, deps: UpstreamDeps): Lanes {
  const { clock } = deps
  const transport = new Transport(options, deps)
  const credentials = options.credentials && new CredentialSource(options.credentials, clock)
  const healths: EndpointHealth[] = []
  const endpoints = options.endpoints.map((url) => {
    const tokens = new Tokens(transport, clock, (host) => circuitOf(host, options, deps))
    const authorizer = new Authorizer(url, options, tokens, credentials)
    const health = healthOf(url, options, deps)
    healths.push(health)
    return endpointOf(new RegistryClient(url, transport, authorizer, health, clock))
  })
  const { connections, name: label } = options
  const admit = (kind: RequestKind) => refuseWhereAllRefuse(healths, kind)
  const { client, background, load } = limited(inOrder(endpoints), { connections, label, admit })
  const whole = {
    state: () => ({ ...describeHealths(healths), ...load() }),
    async close() {
      credentials?.close()
      await transport.close()
    },
  }
  return { client: { ...client, ...whole }, background: { ...background, ...whole } }
}

function endpointOf(client: RegistryClient): Endpoint {
  return {
    headManifest: (...request) => headManifest(client, ...request),
    getManifest: (...request) => getManifest(client, ...request),
    getBlob: (repository, digest, signal) => getBlob(client, repository, digest, signal),
    resumeBlob: (repository, digest, rest, signal) =>
      resumeBlob(client, repository, digest, rest, signal),
    getBlobRange: (...request) => getBlobRange(client, ...request),
    probeBlob: (...request) => probeBlob(client, ...request),
    listTags: (...request) => listTags(client, ...request),
    listReferrers: (...request) => listReferrers(client, ...request),
  }
}
