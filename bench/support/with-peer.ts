import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bench } from '../work/work.ts'
import type { Peer, RunningPeer } from './peer.ts'

/** Starts a peer with an empty store, and ends it in any case. */
export async function withPeer<Result>(
  peer: Peer,
  bench: Bench,
  use: (running: RunningPeer) => Promise<Result>,
  upstream: string = bench.upstream,
): Promise<Result> {
  const dir = await mkdtemp(join(bench.dir, 'peer-'))
  const running = await peer.start({ dir, upstream })
  try {
    return await use(running)
  } finally {
    await running.stop()
    await rm(dir, { recursive: true })
  }
}
