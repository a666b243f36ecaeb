import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../src/oci/digest.ts'
import type { FakeRegistry } from '../support/fake-registry.ts'
import { buildBlob, buildImage } from '../support/images.ts'
import type { Random } from './random.ts'
import { pick } from './random.ts'

const CLIENTS = 8
const REPOSITORY = 'library/app'
const KIB = 1024

export interface LoadTally {
  answers: number
  /** Cut, or answered with an error. */
  broken: number
  readonly wrong: string[]
}

/** What there is to pull: tags, and blobs of all sizes. */
export function fillRegistry(registry: FakeRegistry): readonly string[] {
  const paths: string[] = []
  for (let n = 0; n < 12; n += 1) {
    const image = buildImage({ seed: `torture ${n}`, layers: 2 })
    registry.add(REPOSITORY, image, `v${n}`)
    paths.push(`/v2/${REPOSITORY}/manifests/v${n}`)
    for (const { digest } of image.layers) paths.push(`/v2/${REPOSITORY}/blobs/${digest}`)
  }
  for (const size of [0, 1, 40, 900, 1_500, 3_000, 6_000, 9_000].map((kib) => kib * KIB)) {
    const blob = buildBlob(`torture of ${size} bytes`, size)
    registry.addBlob(REPOSITORY, blob)
    paths.push(`/v2/${REPOSITORY}/blobs/${blob.digest}`)
  }
  return paths
}

/** Pulls at random until `signal` aborts. `onHit`: the mirror has answered this path from its store. */
export async function pullForever(
  url: string,
  paths: readonly string[],
  random: Random,
  tally: LoadTally,
  onHit: (path: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const client = async () => {
    while (!signal.aborted) {
      const path = pick(random, paths)
      const outcome = await pullOnce(url, path, random() < 0.1, signal)
      if (outcome === 'hit') onHit(path)
      if (outcome === 'broken') {
        tally.broken += 1
        await sleep(20)
      } else if (outcome === 'wrong') tally.wrong.push(`${path} was answered with wrong bytes`)
      else tally.answers += 1
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

/** `isRude`: leaves in the middle. */
export async function pullOnce(
  url: string,
  path: string,
  isRude: boolean,
  signal: AbortSignal,
): Promise<'hit' | 'answered' | 'broken' | 'wrong'> {
  try {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(15_000)])
    const response = await fetch(`${url}${path}`, { signal: patience })
    if (response.status !== 200) {
      await response.arrayBuffer()
      return 'broken'
    }
    if (isRude) {
      await response.body?.cancel()
      return 'answered'
    }
    const found = digestOf(new Uint8Array(await response.arrayBuffer()))
    if (found !== response.headers.get('docker-content-digest')) return 'wrong'
    // With a detail it is from memory, and not stored yet.
    return response.headers.get('cache-status')?.endsWith('; hit') === true ? 'hit' : 'answered'
  } catch {
    // Cut: the mirror was killed, or its disk failed.
    return 'broken'
  }
}
