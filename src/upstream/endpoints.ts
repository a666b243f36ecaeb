import type { Upstream } from '../core/upstream.ts'
import { UpstreamFailure } from '../core/upstream-failure.ts'

export type Endpoint = Omit<Upstream, 'state' | 'close'>

/**
 * Several endpoints as one: each is asked only if those before it had nothing or failed, whatever the
 * failure, and what the last one says is final.
 */
export function inOrder(endpoints: readonly Endpoint[]): Endpoint {
  return {
    headManifest: (...request) => firstAnswer(endpoints, (one) => one.headManifest(...request)),
    getManifest: (...request) => firstAnswer(endpoints, (one) => one.getManifest(...request)),
    getBlob: (...request) => firstAnswer(endpoints, (one) => one.getBlob(...request)),
    resumeBlob: (...request) => firstAnswer(endpoints, (one) => one.resumeBlob(...request)),
    getBlobRange: (...request) => firstAnswer(endpoints, (one) => one.getBlobRange(...request)),
    probeBlob: (...request) => firstAnswer(endpoints, (one) => one.probeBlob(...request)),
    listTags: (...request) => firstAnswer(endpoints, (one) => one.listTags(...request)),
    listReferrers: (...request) => firstList(endpoints, (one) => one.listReferrers(...request)),
  }
}

/** An endpoint without such lists has as little to say about one as an endpoint that does not know it. */
async function firstList<T>(
  endpoints: readonly Endpoint[],
  ask: (endpoint: Endpoint) => Promise<T | 'unsupported' | undefined>,
): Promise<T | 'unsupported' | undefined> {
  let lastAnswer: T | 'unsupported' | undefined
  const found = await firstAnswer(endpoints, async (endpoint) => {
    lastAnswer = await ask(endpoint)
    return lastAnswer === 'unsupported' ? undefined : lastAnswer
  })
  return found ?? lastAnswer
}

async function firstAnswer<T>(
  endpoints: readonly Endpoint[],
  ask: (endpoint: Endpoint) => Promise<T | undefined>,
): Promise<T | undefined> {
  const last = endpoints.at(-1)
  if (last === undefined) throw new Error('an upstream needs at least one endpoint')
  for (const endpoint of endpoints.slice(0, -1)) {
    try {
      const answer = await ask(endpoint)
      if (answer !== undefined) return answer
    } catch (failure) {
      // The next endpoint is there for exactly this; only the last one's failure is the upstream's.
      if (!(failure instanceof UpstreamFailure)) throw failure
    }
  }
  return ask(last)
}
