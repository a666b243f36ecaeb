import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag, UpstreamName } from '../../oci/reference.ts'
import type { DiskHealth } from '../disk-health.ts'
import type { Flights } from '../flights.ts'
import type { KeyedLock } from '../keyed-lock.ts'
import type { Manifests } from '../manifests.ts'
import type { BlobStore, Catalog, Clock } from '../ports.ts'
import type { Quota } from '../quota.ts'
import { evictBlob } from '../quota.ts'
import { takeBlob } from '../take-blob.ts'
import type { Tags } from '../tags.ts'
import type { UpstreamEntry } from '../upstream-entry.ts'
import type { MirrorControl } from './mirror-control.ts'

interface Parts {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly locks: KeyedLock<Digest>
  readonly quota: Quota
  readonly clock: Clock
  readonly flights: Flights
  readonly manifests: Manifests
  readonly tags: Tags
  readonly health: DiskHealth
  readonly upstreams: ReadonlyMap<UpstreamName, Pick<UpstreamEntry, 'client' | 'mode'>>
}

/** A running mirror's parts, as far as maintenance reaches into them. */
export function createControl(parts: Parts): MirrorControl {
  const { store, catalog, locks, flights, manifests, tags, health } = parts
  return {
    evict: (digest, unless) => evictBlob(digest, store, catalog, locks, unless),
    quarantine: (digest, isWanted) =>
      locks.run(digest, async () => {
        if (isWanted !== undefined && !(await isWanted())) return
        await catalog.entomb(digest)
        await store.quarantine(digest)
        await catalog.forget(digest)
      }),
    alone: (digest, task) => locks.run(digest, task),
    refetch: (kind, repository, digest) => refetch(kind, repository, digest, parts),
    take: (blob, body, signal) => takeBlob(blob, body, parts, signal),
    forgetTag: (repository, tag: Tag) => tags.forget(repository, tag),
    forgetManifest: (repository, digest) => manifests.forget(repository, digest),
    flights: () => flights.aloft,
    disk: () => health.state,
  }
}

async function refetch(
  kind: 'manifest' | 'blob',
  repository: Repository,
  digest: Digest,
  { store, catalog, flights, manifests, upstreams }: Parts,
): Promise<boolean> {
  const entry = upstreams.get(repository.upstream)
  if (entry === undefined) {
    throw new Error(`${repository.upstream} is not an upstream of this mirror any more`)
  }
  const { client, mode } = entry
  if (mode === 'offline') {
    throw new Error(`${repository.upstream} is offline in this mirror: import a bundle that has it`)
  }
  if (kind === 'manifest') {
    const body = await manifests.fetch(repository, digest, client).result
    return body !== undefined && isStored(store, digest)
  }
  const { standing, statedSize } = await catalog.holding(repository, digest)
  // Who joins the download of another repository counts as having the blob, and a name proves nothing.
  if (standing !== 'proved' && flights.find(repository, digest) === 'unproved') {
    const { signal } = new AbortController()
    if ((await client.probeBlob(repository.name, digest, signal)) === undefined) return false
  }
  const flight = await flights.join(repository, digest, statedSize, client)
  if (flight === undefined) return false
  await flight.landed
  return isStored(store, digest)
}

/** Landing does not fail where the disk refuses: clients are served all the same. */
async function isStored(store: BlobStore, digest: Digest): Promise<boolean> {
  if ((await store.stat(digest)) !== undefined) return true
  throw new Error('it was downloaded, and the disk did not take it: see the log')
}
