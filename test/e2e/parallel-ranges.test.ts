import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { Containerd } from './clients/containerd.ts'
import { CONTAINERD_2, startContainerd, writeHosts } from './clients/containerd.ts'
import { PARALLEL_CHUNK, PARALLEL_SETTINGS } from './clients/daemons.ts'
import type { PullClient } from './clients/pull-client.ts'
import { allDigests } from './clients/pull-client.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { startMirror } from './support/mirror-program.ts'

const CHUNKS = 18
const IMAGE = buildImage({ seed: 'parallel', layers: 1, layerBytes: CHUNKS * PARALLEL_CHUNK })
const NAME = { registry: 'docker.io', repository: 'library/x', reference: { tag: 'v1' } } as const

let dir: TempDir
let registry: FakeRegistry
let mirror: MirrorProgram
let containerd: Containerd
let client: PullClient

beforeAll(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/x', IMAGE, 'v1')
  const upstreams = { 'docker.io': { url: registry.url } }
  mirror = await startMirror({ dir: dir.path, config: { upstreams } })
  containerd = await startContainerd({
    dir: join(dir.path, 'containerd'),
    release: CONTAINERD_2,
    settings: PARALLEL_SETTINGS,
    env: process.env,
  })
  const hosts = { registry: 'docker.io', url: mirror.url }
  client = containerd.client({ hostsDir: await writeHosts(join(dir.path, 'hosts'), hosts) })
})

afterAll(async () => {
  await containerd?.stop()
  await mirror?.stop()
  await registry?.close()
  await dir?.remove()
})

function layerRequests(): readonly unknown[] {
  const digest = IMAGE.layers[0]?.digest
  return mirror.logs().filter(({ reference, status }) => reference === digest && status === 206)
}

describe('a layer that containerd fetches in parallel, by open-ended ranges that it hangs up on', () => {
  it('is downloaded once while it is not cached', async () => {
    expect(await client.pull(NAME, [])).toEqual(allDigests(IMAGE))
    expect(layerRequests().length).toBeGreaterThanOrEqual(CHUNKS)
    for (const { digest } of [IMAGE.config, ...IMAGE.layers]) {
      expect(registry.count({ kind: 'blob', reference: digest })).toBe(1)
    }
  })

  it('comes from the cache when the registry has ended', async () => {
    await registry.stop()
    const before = layerRequests().length
    expect(await client.pull(NAME, [])).toEqual(allDigests(IMAGE))
    expect(layerRequests().length).toBeGreaterThanOrEqual(before + CHUNKS)
  })

  it('is no error in the log', () => {
    const levels = new Set(mirror.logs().map(({ level }) => level))
    expect(levels).not.toContain('error')
    expect(levels).not.toContain('warn')
  })
})
