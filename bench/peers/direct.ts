import type { Peer, Usage } from '../support/peer.ts'

/** No mirror at all: its figures are the upstream's own. */
export const DIRECT = 'direct'

export function directPeer(version: string, usage: () => Promise<Usage>): Peer {
  return {
    name: DIRECT,
    version,
    start: async ({ upstream }) => ({
      url: upstream,
      usage,
      stop: async () => undefined,
      kill: async () => undefined,
    }),
  }
}
