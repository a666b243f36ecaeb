import type { BlobBody, UpstreamBlob } from '../core/upstream.ts'
import type { Endpoint } from './endpoints.ts'
import type { RequestKind } from './options.ts'
import type { Lane } from './slots.ts'
import { Slots } from './slots.ts'

/** Requests that have a slot, those of clients that wait for one, and those behind them. */
interface Load {
  readonly underWay: number
  readonly queued: number
  readonly background: number
}

interface Limits {
  readonly connections: number
  /** What the person who reads "busy" knows it by. */
  readonly label: string
  /** Throws where there is nothing to wait for, before a request waits for a slot. */
  readonly admit: (kind: RequestKind) => void
}

/** The same endpoint, in both lanes. */
interface Limited {
  readonly client: Endpoint
  readonly background: Endpoint
  readonly load: () => Load
}

/**
 * At most `connections` requests at a time. A blob holds its slot until its body has ended, so a quarter
 * of the slots is for everything else: a manifest must not wait for a gigabyte.
 */
export function limited(inner: Endpoint, { connections, label, admit }: Limits): Limited {
  const reserved = Math.floor(connections / 4) || (connections > 1 ? 1 : 0)
  const blobs = new Slots(connections - reserved, label)
  const control = reserved === 0 ? blobs : new Slots(reserved, label)
  const slots = { blobs, control, admit }
  return {
    client: inLane('client', inner, slots),
    background: inLane('background', inner, slots),
    load: () => loadOf(new Set([blobs, control])),
  }
}

interface SharedSlots extends Pick<Limits, 'admit'> {
  readonly blobs: Slots
  readonly control: Slots
}

function inLane(lane: Lane, inner: Endpoint, { blobs, control, admit }: SharedSlots): Endpoint {
  const asControl = async <T>(kind: RequestKind, signal: AbortSignal, task: () => Promise<T>) => {
    admit(kind)
    return holding(control.acquire(signal, lane), task)
  }
  const asBlob = async (
    slot: 'turn' | 'free',
    signal: AbortSignal,
    ask: () => Promise<UpstreamBlob | undefined>,
    hurry?: AbortSignal,
  ) => {
    admit('blob')
    const taken =
      slot === 'turn' ? blobs.acquire(signal, lane, hurry) : blobs.acquireFree(signal, lane)
    return holdingToTheEnd(taken, signal, ask)
  }
  return {
    headManifest: (repository, reference, signal) =>
      asControl('manifest', signal, () => inner.headManifest(repository, reference, signal)),
    getManifest: (repository, reference, signal) =>
      asControl('manifest', signal, () => inner.getManifest(repository, reference, signal)),
    probeBlob: (repository, digest, signal) =>
      asControl('blob', signal, () => inner.probeBlob(repository, digest, signal)),
    listTags: (repository, page, signal) =>
      asControl('list', signal, () => inner.listTags(repository, page, signal)),
    listReferrers: (repository, subject, signal) =>
      asControl('list', signal, () => inner.listReferrers(repository, subject, signal)),
    getBlob: (repository, digest, signal, hurry) =>
      asBlob('turn', signal, () => inner.getBlob(repository, digest, signal), hurry),
    resumeBlob: (repository, digest, rest, signal, hurry) =>
      asBlob('turn', signal, () => inner.resumeBlob(repository, digest, rest, signal), hurry),
    getBlobRange: (repository, digest, range, signal) =>
      asBlob('free', signal, () => inner.getBlobRange(repository, digest, range, signal)),
  }
}

function loadOf(slots: ReadonlySet<Slots>): Load {
  const loads = [...slots].map((one) => one.load())
  return {
    underWay: loads.reduce((sum, { taken }) => sum + taken, 0),
    queued: loads.reduce((sum, { waiting }) => sum + waiting, 0),
    background: loads.reduce((sum, { behind }) => sum + behind, 0),
  }
}

async function holding<T>(slot: Promise<() => void>, task: () => Promise<T>): Promise<T> {
  const release = await slot
  try {
    return await task()
  } finally {
    release()
  }
}

async function holdingToTheEnd(
  slot: Promise<() => void>,
  signal: AbortSignal,
  ask: () => Promise<UpstreamBlob | undefined>,
): Promise<UpstreamBlob | undefined> {
  const release = await slot
  let blob: UpstreamBlob | undefined
  try {
    blob = await ask()
  } finally {
    if (blob === undefined) release()
  }
  return blob && { size: blob.size, body: releasing(blob.body, release, signal) }
}

/** The same bytes; gives the slot back when they end, fail or are not wanted any more. */
function releasing(body: BlobBody, release: () => void, signal: AbortSignal): BlobBody {
  const end = () => {
    signal.removeEventListener('abort', end)
    release()
  }
  // The body may be dropped before anyone reads it.
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  return { pump: (take) => body.pump(take).finally(end) }
}
