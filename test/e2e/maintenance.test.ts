import { chmod, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { startMirror } from './support/mirror-program.ts'

const IMAGE = buildImage({ seed: 'upkeep', layerBytes: 100_000 })
const NEXT = buildImage({ seed: 'upkeep-next' })
const NAME = 'docker.io/library/app:1'

let dir: TempDir
let registry: FakeRegistry
let mirror: MirrorProgram

beforeEach(async () => {
  dir = await makeTempDir()
  registry = await FakeRegistry.start()
  registry.add('library/app', IMAGE, '1')
  mirror = await startMirror({
    dir: dir.path,
    config: { upstreams: { 'docker.io': { url: registry.url, tags: { ttl: '0s' } } } },
  })
})
afterEach(async () => {
  await mirror.program.stop()
  await registry.close()
  await dir.remove()
})

async function get(path: string): Promise<string | null> {
  const response = await fetch(`${mirror.url}/v2/library/app/${path}`)
  await response.arrayBuffer()
  expect([path, response.status]).toEqual([path, 200])
  return response.headers.get('docker-content-digest')
}

async function pull(): Promise<void> {
  await get('manifests/1')
  for (const { digest } of [IMAGE.config, ...IMAGE.layers]) await get(`blobs/${digest}`)
}

/** Changes every stored file that is larger than a manifest, and says how many there were. */
async function damageLayers(): Promise<void> {
  for (const { digest, size } of IMAGE.layers) {
    const hex = digest.slice('sha256:'.length)
    const path = join(dir.path, 'data/blobs/sha256', hex.slice(0, 2), hex)
    await chmod(path, 0o640)
    await writeFile(path, Buffer.alloc(size, 1))
  }
}

it('looks after a running mirror, and after its data when it has stopped', async () => {
  await pull()
  expect(await mirror.command('ls')).toContain(NAME)
  expect(await mirror.command('show', 'app:1')).toContain('4 of 4 blobs')

  // Damage heals, and whoever pulls meanwhile gets what is right.
  await damageLayers()
  expect(await mirror.command('verify', '--repair')).toMatch(/: 2 were not as they should be\n$/)
  expect(await mirror.command('verify')).toMatch(/all as they should be\n$/)
  await pull()

  // A held tag stays, although upstream has moved it and its time to live is over.
  await mirror.command('hold', 'app:1')
  registry.add('library/app', NEXT, '1')
  expect(await get('manifests/1')).toBe(IMAGE.manifest.digest)
  await mirror.command('release', 'app:1')
  expect(await get('manifests/1')).toBe(NEXT.manifest.digest)
  expect((await mirror.command('tags', 'app:1')).trim().split('\n')).toHaveLength(3)

  expect(await mirror.command('stats')).toMatch(/^docker\.io .* up /m)
  const metrics = await fetch(`${mirror.adminUrl}/metrics`)
  expect(await metrics.text()).toContain('oci_mirror_')
  expect((await fetch(`${mirror.url}/metrics`)).status).toBe(404)

  await mirror.stop()
  const listed = JSON.parse(await mirror.command('ls', '-o', 'json')) as readonly object[]
  expect(listed).toMatchObject([{ image: NAME, digest: NEXT.manifest.digest }])
  expect(await mirror.command('rm', '--yes', 'app:1')).toMatch(/^removed .*\nfreed /)
  await mirror.command('rm', '--yes', `app@${IMAGE.manifest.digest}`)
  const left = await readdir(join(dir.path, 'data/blobs'), { recursive: true, withFileTypes: true })
  expect(left.filter((entry) => entry.isFile())).toEqual([])
})
