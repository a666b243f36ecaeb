import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../src/core/ports.ts'
import type { BlobBody, Upstream, UpstreamBlob } from '../../src/core/upstream.ts'
import type { Lanes } from '../../src/core/upstream-entry.ts'
import { UpstreamFailure } from '../../src/core/upstream-failure.ts'
import { parseRepositoryName, parseTag, parseUpstreamName } from '../../src/oci/reference.ts'
import type { Reference, RepositoryName } from '../../src/oci/reference.ts'
import type { Digest } from '../../src/oci/digest.ts'
import type { RegistryOptions, UpstreamDeps } from '../../src/upstream/options.ts'
import { openUpstream } from '../../src/upstream/registry-upstream.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'

/** Real time, except that whoever sleeps is woken twenty times earlier: backoffs cost no test time. */
export const hastyClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    // Rejects only for the abort, which the port wants to be silent.
    await sleep(ms / 20, undefined, { ref: false, ...(signal && { signal }) }).catch(
      () => undefined,
    )
  },
}

/** Of an upstream whose only endpoint is the fake. */
export function optionsFor(
  registry: Pick<FakeRegistry, 'url'>,
  options: Partial<RegistryOptions> = {},
): RegistryOptions {
  return {
    name: required(parseUpstreamName('docker.io')),
    endpoints: [new URL(registry.url)],
    insecure: false,
    tokenRealms: [],
    redirectHosts: [],
    connections: 8,
    rateLimit: { reserve: 10 },
    ...options,
  }
}

export function openFor(
  registry: Pick<FakeRegistry, 'url'>,
  options: Partial<RegistryOptions> = {},
  deps: Partial<UpstreamDeps> = {},
): Upstream {
  return openLanesFor(registry, options, deps).client
}

/** The same registry with its background lane. */
export function openLanesFor(
  registry: Pick<FakeRegistry, 'url'>,
  options: Partial<RegistryOptions> = {},
  deps: Partial<UpstreamDeps> = {},
): Lanes {
  return openUpstream(optionsFor(registry, options), { clock: hastyClock, ...deps })
}

export function repo(name: string): RepositoryName {
  return required(parseRepositoryName(name))
}

export function tag(name: string): Reference {
  return { kind: 'tag', tag: required(parseTag(name)) }
}

export function byDigest(digest: Digest): Reference {
  return { kind: 'digest', digest }
}

/** The blob's body; fails if there is no blob. */
export function bodyOf(blob: UpstreamBlob | undefined): BlobBody {
  return required(blob).body
}

export async function collect(body: BlobBody): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  await body.pump((bytes) => {
    chunks.push(Uint8Array.from(bytes))
    return undefined
  })
  return Buffer.concat(chunks)
}

/** What the promise was rejected with, if that was an UpstreamFailure. */
export async function failureOf(promise: Promise<unknown>): Promise<UpstreamFailure> {
  const failure = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  )
  if (failure instanceof UpstreamFailure) return failure
  throw new Error('not an UpstreamFailure', { cause: failure })
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('undefined, where the test needs something')
  return value
}
