import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Peer, PeerPlace } from '../../bench/support/peer.ts'
import type { Bench, BenchImage } from '../../bench/work/work.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { makeTempDir } from '../support/temp-dir.ts'

const MIB = 2 ** 20

/** What a work finds, with a registry in this process for upstream. */
export interface FakeBench extends AsyncDisposable {
  readonly bench: Bench
  readonly registry: FakeRegistry
}

export async function openFakeBench(): Promise<FakeBench> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await makeTempDir())
  const registry = stack.adopt(await FakeRegistry.start(), (started) => started.close())
  const [dir, shared] = [join(path, 'dir'), join(path, 'shared')]
  for (const place of [dir, shared]) await mkdir(place)
  const owned = stack.move()
  return {
    bench: {
      dir,
      shared,
      upstream: registry.url,
      image: async (name, layers) => putImage(registry, name, layers),
      sent: () => 0,
    },
    registry,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function putImage(registry: FakeRegistry, name: string, layers: readonly number[]): BenchImage {
  const repository = `bench/${name}`
  const built = buildImage({ seed: name, layers: layers.length, layerBytes: layers[0] ?? 0 })
  registry.add(repository, built, '1')
  const { manifest, config } = built
  const facts = { repository, tag: '1', digest: manifest.digest, manifestBytes: manifest.size }
  return { ...facts, config, layers: built.layers }
}

/** A peer that passes everything on, and keeps count of what was done with it. */
export interface FakePeer {
  readonly peer: Peer
  readonly places: PeerPlace[]
  /** What happened to it, in order. */
  readonly done: string[]
}

export function createFakePeer(name: string): FakePeer {
  const places: PeerPlace[] = []
  const done: string[] = []
  const start: Peer['start'] = async (place) => {
    places.push(place)
    done.push('start')
    return {
      url: place.upstream,
      usage: async () => ({ cpuSeconds: 2, peakBytes: 30 * MIB, residentBytes: 20 * MIB }),
      stop: async () => void done.push('stop'),
      kill: async () => void done.push('kill'),
    }
  }
  return { peer: { name, version: '1', start }, places, done }
}
