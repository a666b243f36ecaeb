import type { Bench } from '../work/work.ts'
import { openImage } from './open-image.ts'
import { download } from './download.ts'
import type { RunningPeer } from './peer.ts'

const BYTES = 4 * 2 ** 20
const BLOBS = 5

/**
 * Milliseconds to the first byte of some small cold blobs, one after another. A server runs for months:
 * only the first of them is what a process needs that has just been started, and compiles as it goes.
 */
export async function coldStarts(running: RunningPeer, bench: Bench): Promise<readonly number[]> {
  const firstBytes: number[] = []
  for (let n = 0; n < BLOBS; n += 1) {
    // Of an image each: a mirror may fetch the other layers of one ahead of time.
    const url = await openImage(running.url, await bench.image(`small-${n}`, [BYTES]))
    const { firstBytesMs } = await download(url, BYTES)
    firstBytes.push(...firstBytesMs)
  }
  return firstBytes
}
