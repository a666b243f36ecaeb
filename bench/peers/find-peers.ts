import type { Peer } from '../support/peer.ts'
import { findDistribution2, findDistribution3 } from './distribution.ts'
import { findCopyingNginx, findNginx, NGINX, NGINX_COPYING } from './nginx.ts'
import { findOciMirror, OURS } from './oci-mirror.ts'
import { findZot } from './zot.ts'

/** One that cannot be had. */
export interface MissingPeer {
  readonly name: string
  readonly reason: string
}

const FINDERS: Readonly<Record<string, () => Promise<Peer>>> = {
  [OURS]: findOciMirror,
  'distribution-2': findDistribution2,
  'distribution-3': findDistribution3,
  [NGINX]: findNginx,
  [NGINX_COPYING]: findCopyingNginx,
  zot: findZot,
}

/** Those that the harness can start, ours first. */
export const PEER_NAMES: readonly string[] = Object.keys(FINDERS)

/** Installs what Debian or Go can give, and tells which of them cannot be had. */
export async function findPeers(
  names: readonly string[],
): Promise<{ readonly peers: readonly Peer[]; readonly missing: readonly MissingPeer[] }> {
  const peers: Peer[] = []
  const missing: MissingPeer[] = []
  for (const name of names) {
    const find = FINDERS[name]
    if (find === undefined) throw new Error(`There is no peer ${name}: ${PEER_NAMES.join(', ')}`)
    try {
      peers.push(await find())
    } catch (error) {
      // Told in the table: a peer that is not there must not stop the others, nor count as slow.
      missing.push({ name, reason: error instanceof Error ? error.message : String(error) })
    }
  }
  return { peers, missing }
}
