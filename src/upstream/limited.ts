import type { UpstreamBlob } from '../core/ports.ts'
import type { Endpoint } from './endpoints.ts'
import { Slots } from './slots.ts'

/**
 * At most `connections` requests at a time. A blob holds its slot until its body has ended, so a quarter
 * of the slots is for everything else: a manifest must not wait for a gigabyte.
 */
export function limited(inner: Endpoint, connections: number, label: string): Endpoint {
  const reserved = Math.floor(connections / 4) || (connections > 1 ? 1 : 0)
  const blobs = new Slots(connections - reserved, label)
  const control = reserved === 0 ? blobs : new Slots(reserved, label)
  return {
    headManifest: (repository, reference, signal) =>
      holding(control, signal, () => inner.headManifest(repository, reference, signal)),
    getManifest: (repository, reference, signal) =>
      holding(control, signal, () => inner.getManifest(repository, reference, signal)),
    probeBlob: (repository, digest, signal) =>
      holding(control, signal, () => inner.probeBlob(repository, digest, signal)),
    listTags: (repository, page, signal) =>
      holding(control, signal, () => inner.listTags(repository, page, signal)),
    listReferrers: (repository, subject, signal) =>
      holding(control, signal, () => inner.listReferrers(repository, subject, signal)),
    getBlob: (repository, digest, signal) =>
      holdingToTheEnd(blobs.acquire(signal), signal, () =>
        inner.getBlob(repository, digest, signal),
      ),
    getBlobRange: (repository, digest, range, signal) =>
      holdingToTheEnd(blobs.acquireFree(signal), signal, () =>
        inner.getBlobRange(repository, digest, range, signal),
      ),
  }
}

async function holding<T>(slots: Slots, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
  const release = await slots.acquire(signal)
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
function releasing(
  body: AsyncIterable<Uint8Array>,
  release: () => void,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const end = () => {
    signal.removeEventListener('abort', end)
    release()
  }
  // The body may be dropped before anyone reads it.
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  return {
    [Symbol.asyncIterator]() {
      const chunks = body[Symbol.asyncIterator]()
      return {
        async next() {
          try {
            const next = await chunks.next()
            if (next.done === true) end()
            return next
          } catch (failure) {
            end()
            throw failure
          }
        },
        async return() {
          end()
          await chunks.return?.()
          return { done: true, value: undefined }
        },
      }
    },
  }
}
