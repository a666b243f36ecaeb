import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { startMirror } from './support/mirror-program.ts'

const IMAGES = {
  'one.example': buildImage({ seed: 'one' }),
  'two.example': buildImage({ seed: 'two' }),
} as const
const NAMES = ['one.example', 'two.example'] as const

let dir: TempDir
let mirror: MirrorProgram
const registries: FakeRegistry[] = []

beforeAll(async () => {
  dir = await makeTempDir()
  const upstreams: Record<string, object> = {}
  for (const name of NAMES) {
    const registry = await FakeRegistry.start()
    registry.add('library/x', IMAGES[name], 'v1')
    registries.push(registry)
    upstreams[name] = { url: registry.url }
  }
  mirror = await startMirror({ dir: dir.path, config: { upstreams } })
})

afterAll(async () => {
  await mirror?.stop()
  await Promise.all(registries.map((registry) => registry.close()))
  await dir?.remove()
})

function get(path: string, ns: string) {
  return rawRequest({ port: mirror.port, target: `/v2/library/x/${path}?ns=${ns}` })
}

describe('two upstreams with the same repository and tag', () => {
  it.each(NAMES)('gives the content of %s to those who ask for it', async (name) => {
    const { manifest, layers } = IMAGES[name]
    expect((await get('manifests/v1', name)).body).toEqual(Buffer.from(manifest.bytes))
    for (const { digest, bytes } of layers) {
      expect((await get(`blobs/${digest}`, name)).body).toEqual(Buffer.from(bytes))
    }
  })

  it.each(NAMES)('does not give the cached content of %s through the other', async (name) => {
    const other = name === 'one.example' ? 'two.example' : 'one.example'
    const { manifest, layers } = IMAGES[name]
    const paths = [`manifests/${manifest.digest}`, ...layers.map(({ digest }) => `blobs/${digest}`)]
    for (const path of paths) expect((await get(path, other)).status).toBe(404)
  })
})
