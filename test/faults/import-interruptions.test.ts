import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blobsOf, buildBundle, writeBundle } from '../airgap/import/build-bundle.ts'
import { importInto } from '../airgap/import/import-into.ts'
import { NoSpace } from '../../src/core/ports.ts'
import { FailingFs } from '../support/failing-fs.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import { buildImage } from '../support/images.ts'
import { expectIntact } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'

const IMAGE = buildImage({ seed: 'faulty', layers: 2, layerBytes: 2_000_000 })
const APP = 'docker.io/library/app:1'
const PATHS = blobsOf(IMAGE).map(({ digest }) => `/v2/library/app/blobs/${digest}`)

let registry: FakeRegistry
let failing: FailingFs
let mirror: TestMirror
let dir: TempDir
let bundle: string

beforeEach(async () => {
  registry = await FakeRegistry.start()
  failing = new FailingFs()
  const upstreams = { 'docker.io': { registry } }
  mirror = await TestMirror.start({ upstreams, fs: failing.fs })
  dir = await makeTempDir()
  const built = buildBundle([{ image: APP, content: IMAGE, checkedAt: Date.now() }])
  bundle = await writeBundle(dir.path, 'week.tar', built)
})
afterEach(async () => {
  await importInto(mirror.operations.imports, [bundle])
  await expectIntact(mirror, { retry: ['/v2/library/app/manifests/1', ...PATHS] })
  expect(registry.requests).toEqual([])
  await mirror[Symbol.asyncDispose]()
  await registry.close()
  await dir.remove()
})

describe('an import', () => {
  it.each([
    ['a disk that is full', { operation: 'file.writev', code: 'ENOSPC', skip: 2 }],
    ['a disk that cannot be written', { operation: 'file.writev', code: 'EIO', skip: 1 }],
    ['a disk that takes no new name', { operation: 'rename', code: 'EIO', skip: 1 }],
    [
      'a disk that cannot bring anything to itself',
      { operation: 'file.datasync', code: 'EIO', skip: 2 },
    ],
  ] as const)('ends at %s with nothing committed, and goes on afterwards', async (_, fault) => {
    const injection = failing.fail(fault)
    const importing = importInto(mirror.operations.imports, [bundle])
    await expect(importing).rejects.toThrow(NoSpace)
    expect(injection.hits).toBeGreaterThan(0)
    injection.remove()
    expect((await mirror.maintenance.images({})).items).toEqual([])
    expect(await mirror.spooled()).toEqual([])
  })

  it('that is stopped commits nothing, and goes on afterwards', async () => {
    const stopped = new AbortController()
    const api = mirror.operations.imports
    const stopping: typeof api = {
      plan: (offer) => api.plan(offer),
      commit: (request) => api.commit(request),
      put: async (blob, body, signal) => {
        await api.put(blob, body, signal)
        stopped.abort(new Error('stopped by SIGINT'))
      },
    }
    const importing = importInto(stopping, [bundle], { signal: stopped.signal })
    await expect(importing).rejects.toThrow('stopped by SIGINT')
    expect((await mirror.maintenance.images({})).items).toEqual([])
  })

  it('leaves clients in peace: what they read is not evicted for it', async () => {
    const small = await TestMirror.start({
      upstreams: { 'docker.io': { registry } },
      limits: { maxSize: 5_000_000, minFree: { bytes: 0 } },
    })
    const first = buildBundle([{ image: 'docker.io/library/first:1', content: IMAGE }])
    const path = await writeBundle(dir.path, 'first.tar', first)
    const pinned = await importInto(small.operations.imports, [path], { pin: 'all' })
    expect(pinned[0]?.images.map(({ state }) => state)).toEqual(['committed'])
    const other = buildImage({ seed: 'second', layers: 2, layerBytes: 2_000_000 })
    const next = buildBundle([{ image: 'docker.io/library/second:1', content: other }])
    const second = await writeBundle(dir.path, 'second.tar', next)
    await expect(importInto(small.operations.imports, [second])).rejects.toThrow(
      /there is room for/,
    )
    expect((await small.catalog.totals()).blobs).toBe(4)
    await expectIntact(small)
    await small[Symbol.asyncDispose]()
  })
})
