import type { Descriptor } from '../../oci/descriptor.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Repository, Tag, UpstreamName } from '../../oci/reference.ts'
import type { Referrer } from '../../oci/referrers.ts'
import { mayServe } from '../may-serve.ts'
import { limitTime, newWait } from '../deadline.ts'
import type { Flights } from '../flights.ts'
import type { TagPolicy } from '../freshness.ts'
import type { Manifests } from '../manifests.ts'
import type { BlobStore, Catalog, Clock } from '../ports.ts'
import type { Referrers } from '../referrers.ts'
import type { TagRequest } from '../tag-checks.ts'
import type { Tags } from '../tags.ts'
import type { ManifestBody } from '../upstream.ts'
import type { UpstreamEntry } from '../upstream-entry.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import type { WarmDownload, WarmSource } from './warm-source.ts'

const PROOF_TIMEOUT_MS = 60_000
/** Nothing is believed without asking, and nothing stands in for an answer. */
const STRICT = { ttl: 0, staleWhileRevalidate: 0, staleIfError: 0, authGrace: 0 } as const

interface Parts {
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamEntry>
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly flights: Flights
  readonly manifests: Manifests
  readonly tags: Tags
  readonly referrers: Referrers
  readonly clock: Clock
}

/** A running mirror's parts, as far as a warming reaches into them. */
export function createWarmSource(parts: Parts): WarmSource {
  const { upstreams, manifests, tags, clock } = parts
  const entryOf = (upstream: UpstreamName): UpstreamEntry => {
    const entry = upstreams.get(upstream)
    if (entry !== undefined) return entry
    throw new Error(`${upstream} is not an upstream of this mirror`)
  }
  const ask = (repository: Repository, tag: Tag) =>
    toTagRequest(repository, tag, entryOf(repository.upstream))
  return {
    refusal: (upstream) => refusalOf(upstream, upstreams),
    state: (upstream) => entryOf(upstream).client.state(),
    head: async (repository, tag) => (await tags.check(ask(repository, tag)))?.descriptor,
    look: (repository, tag) => tags.look(ask(repository, tag)),
    held: (repository, digest) => held(repository, digest, parts),
    fetch: (repository, digest) =>
      manifests.fetch(repository, digest, entryOf(repository.upstream).background, 'warm').result,
    fetchTag: async (repository, tag) => {
      const wait = newWait(clock, new AbortController().signal)
      return (await tags.reget(ask(repository, tag), wait))?.body
    },
    standing: (repository, digest) =>
      standing(repository, digest, entryOf(repository.upstream), parts),
    download: (repository, blob) => download(repository, blob, entryOf(repository.upstream), parts),
    referrers: (repository, subject) =>
      referrersOf(repository, subject, entryOf(repository.upstream), parts),
  }
}

function refusalOf(upstream: UpstreamName, upstreams: Parts['upstreams']): string | undefined {
  const entry = upstreams.get(upstream)
  if (entry === undefined) {
    const names = [...upstreams.keys()].join(', ')
    return `${upstream} is not an upstream of this mirror: it has ${names}`
  }
  if (entry.mode !== 'offline') return undefined
  return `${upstream} is offline in this mirror (its \`mode\`, or --offline), and so nothing of it can be fetched`
}

function toTagRequest(
  repository: Repository,
  tag: Tag,
  { background, tags: policy }: UpstreamEntry,
): TagRequest {
  return { repository, tag, upstream: background, policy, purpose: 'warm' }
}

/** What only the memory has, because the disk had no room or it was evicted, is stored now. */
async function held(
  repository: Repository,
  digest: Digest,
  { manifests, catalog, store }: Parts,
): Promise<ManifestBody | undefined> {
  const body = await manifests.held(repository, digest)
  if (body === undefined) return undefined
  const isKnown = (await catalog.manifest(repository, digest)) !== undefined
  const isStored = (await store.stat(digest))?.size === body.bytes.length
  if (!isKnown || !isStored) await manifests.land(repository, body, undefined, 'warm')
  return body
}

async function standing(
  repository: Repository,
  digest: Digest,
  entry: UpstreamEntry,
  { catalog, store }: Pick<Parts, 'catalog' | 'store'>,
): Promise<'here' | 'elsewhere' | 'missing'> {
  const holding = await catalog.holding(repository, digest)
  if (holding.storedSize === undefined) return 'missing'
  // A row never proves a file, and here is the time to find out.
  if ((await store.stat(digest))?.size !== holding.storedSize) return 'missing'
  return mayServe(holding, entry) ? 'here' : 'elsewhere'
}

/** In the background lane. Throws as Flights.join does. */
export async function download(
  repository: Repository,
  { digest, size }: Descriptor,
  entry: UpstreamEntry,
  parts: Pick<Parts, 'catalog' | 'store' | 'flights' | 'clock'>,
): Promise<WarmDownload | 'here' | undefined> {
  const { catalog, flights } = parts
  const before = await standing(repository, digest, entry, parts)
  if (before === 'here') return 'here'
  // Before the look at the flights: between that and joining, another repository's could begin.
  const { statedSize = size } = await catalog.holding(repository, digest)
  // Who joins another repository's download counts as having the blob, and a name proves nothing.
  if (before === 'elsewhere' || flights.find(repository, digest) === 'unproved') {
    if (!(await prove(repository, digest, entry, parts))) return undefined
    if ((await standing(repository, digest, entry, parts)) === 'here') return 'here'
  }
  const flight = await flights.join(repository, digest, statedSize, entry.background, 'warm')
  if (flight === undefined) return undefined
  return {
    received: () => flight.received,
    landed: flight.landed,
    abandon: () => flight.abandon(),
  }
}

async function prove(
  repository: Repository,
  digest: Digest,
  entry: UpstreamEntry,
  { catalog, clock }: Pick<Parts, 'catalog' | 'clock'>,
): Promise<boolean> {
  const proof = await limitTime(PROOF_TIMEOUT_MS, clock, digest, (signal) =>
    entry.background.probeBlob(repository.name, digest, signal),
  )
  if (proof !== undefined) await catalog.link(repository, digest)
  return proof !== undefined
}

async function referrersOf(
  repository: Repository,
  subject: Digest,
  entry: UpstreamEntry,
  { referrers }: Parts,
): Promise<readonly Referrer[]> {
  const tags: TagPolicy = { ...entry.tags, ...STRICT }
  // Also where clients are given what is here first: this is how that is brought up to date.
  const asked = { ...entry, client: entry.background, mode: 'online', tags } as const
  const answer = await referrers.check({ repository, subject, entry: asked, purpose: 'warm' })
  if (answer.outcome !== 'stale' || answer.detail === 'upstream-gone') return answer.referrers
  throw new UpstreamFailure('unavailable', answer.warning ?? 'the list could not be confirmed')
}
