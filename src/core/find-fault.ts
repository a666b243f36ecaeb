import type { BlobStore } from './ports.ts'

/** What would keep the cache itself from working; what upstreams do is not our readiness. */
export async function findFault(store: Pick<BlobStore, 'space'>): Promise<string | undefined> {
  try {
    await store.space()
    return undefined
  } catch (reason) {
    return `the data directory cannot be read: ${reason instanceof Error ? reason.message : String(reason)}`
  }
}
