import { copyFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { pull } from '../core/maintenance/pulled.ts'
import { described, descriptor } from '../support/artifacts.ts'
import type { TestImage } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import { expectTrueNames } from '../support/oracle.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { startStocked } from '../airgap/export/stocked-mirror.ts'
import { Workplace } from './workplace.ts'

const MIB = 1024 * 1024
const LARGE = buildImage({ seed: 'round trip', layers: 1, layerBytes: 3 * MIB })
const PLATFORM = ['--platform', 'linux/amd64']

let online: Workplace
let offline: Workplace

beforeEach(async () => {
  online = await Workplace.make()
  offline = await Workplace.make()
  for (const { data } of [online, offline]) openDataDirectory(data.path).release()
})
afterEach(async () => {
  await online.close()
  await offline.close()
})

async function onlineSays(...args: readonly string[]) {
  const { code, stdout, stderr } = await online.run(args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout
}

async function carry(...names: readonly string[]): Promise<void> {
  for (const name of names) await copyFile(online.path(name), offline.path(name))
}

const offlineEnds = (...args: readonly string[]) => offline.run(args)

/** Pulled while the mirror runs that has no registry any more. */
async function expectServed(image: TestImage, name: string): Promise<void> {
  const registry = await FakeRegistry.start()
  const mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } }, offline.data)
  await pull(mirror, name, '1', image)
  await mirror.close()
  expect(registry.requests).toEqual([])
  await registry.close()
}

describe('what was exported and carried', () => {
  beforeEach(async () => {
    await using stocked = await startStocked(online.data)
    stocked.registry.add('library/large', LARGE, '1')
    await pull(stocked.mirror, 'library/large', '1', LARGE)
  })

  it('is imported in parts, of which one blob has pieces, and served from there', async () => {
    await onlineSays(
      'export',
      '-o',
      'all.tar',
      'large:1',
      'app:1',
      ...PLATFORM,
      '--split',
      '1.5MiB',
    )
    await carry('all.001.tar', 'all.002.tar', 'all.003.tar')
    const imported = await offlineEnds('import', 'all.003.tar', 'all.001.tar', 'all.002.tar')
    expect(imported.code).toBe(0)
    expect((await offlineEnds('check', 'large:1', 'app:1', ...PLATFORM)).code).toBe(0)
    await expectServed(LARGE, 'library/large')
    await expectTrueNames(offline.data.path)
  })

  it('is followed by what is new to a side that said what it has', async () => {
    await onlineSays('export', '-o', 'first.tar', 'large:1')
    await carry('first.tar')
    expect((await offlineEnds('import', 'first.tar', '--receipt', 'receipt')).code).toBe(0)
    await copyFile(offline.path('receipt'), online.path('receipt'))
    const said = await onlineSays(
      'export',
      '-o',
      'next.tar',
      'large:1',
      'acme/tool:2',
      '--have',
      'receipt',
    )
    expect(said).toContain('1 of 2 images changed, 3 blobs')
    await carry('next.tar')
    expect((await offlineEnds('import', 'next.tar')).code).toBe(0)
    expect((await offlineEnds('check', 'acme/tool:2', ...PLATFORM)).code).toBe(0)
  })

  it('without what it needs is told which bundle had that', async () => {
    await onlineSays('export', '-o', 'week33.tar', 'large:1')
    const child = childOf(LARGE)
    const stocked = await startStocked(online.data)
    stocked.registry.add('library/child', child, '1')
    await pull(stocked.mirror, 'library/child', '1', child)
    await stocked[Symbol.asyncDispose]()
    await onlineSays('export', '-o', 'week34.tar', 'child:1', '--have', 'week33.json')
    await carry('week34.tar')
    const { code, stderr } = await offlineEnds('import', 'week34.tar')
    expect(code).toBe(3)
    expect(stderr).toContain('week33')
  })
})

/** An image with the layers of another one below its own. */
function childOf(parent: TestImage): TestImage {
  const own = buildImage({ seed: 'child', layers: 1 })
  const layers = [...parent.layers, ...own.layers]
  const body = JSON.parse(Buffer.from(own.manifest.bytes).toString()) as object
  const manifest = Buffer.from(JSON.stringify({ ...body, layers: layers.map(descriptor) }))
  return { ...own, manifest: described(own.manifest.mediaType, manifest), layers }
}
