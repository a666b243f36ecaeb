import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ExportOptions } from '../../../src/airgap/export/export-bundle.ts'
import { exportBundle } from '../../../src/airgap/export/export-bundle.ts'
import type { ImportApi } from '../../../src/core/airgap/import-api.ts'
import { DigestMismatch } from '../../../src/core/ports.ts'
import { systemClock } from '../../../src/core/system-clock.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import {
  AMD64,
  EVERYTHING,
  INDEX,
  SBOM,
  SIGNATURE_TAG,
  startStocked,
  TOOL,
} from '../export/stocked-mirror.ts'
import { pull } from '../../core/maintenance/pulled.ts'
import { blobsOf } from './build-bundle.ts'
import { importInto } from './import-into.ts'

const BIG = buildImage({ seed: 'big', layers: 2, layerBytes: 3_000_000 })

let source: Awaited<ReturnType<typeof startStocked>>
let registry: FakeRegistry
let mirror: TestMirror
let dir: TempDir

beforeEach(async () => {
  source = await startStocked()
  registry = await FakeRegistry.start()
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry, mode: 'offline' } } })
  dir = await makeTempDir()
})
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await source[Symbol.asyncDispose]()
  await registry.close()
  await dir.remove()
})

async function exported(changes: Partial<ExportOptions> = {}): Promise<readonly string[]> {
  const request = { ...EVERYTHING, platforms: ['linux/amd64'] }
  await exportBundle(
    request,
    {
      out: join(dir.path, 'week.tar'),
      format: 'bundle',
      refName: 'tag',
      have: [],
      force: false,
      dryRun: false,
      ...changes,
    },
    {
      exports: source.mirror.operations.exports,
      clock: systemClock,
      tool: 'a test',
      onProgress: () => {},
    },
    new AbortController().signal,
  )
  const names = await readdir(dir.path)
  return names.filter((name) => name.endsWith('.tar')).map((name) => join(dir.path, name))
}

/** The same import, of which each blob passes `onPut` first. */
function counting(
  api: ImportApi,
  onPut: (digest: string, run: () => Promise<void>) => Promise<void>,
): ImportApi {
  return {
    plan: (offer) => api.plan(offer),
    commit: (request) => api.commit(request),
    put: (blob, body, signal) => onPut(blob.digest, () => api.put(blob, body, signal)),
  }
}

async function expectServed(): Promise<void> {
  const paths = [
    '/v2/library/app/manifests/1',
    `/v2/library/app/manifests/${SIGNATURE_TAG}`,
    '/v2/acme/tool/manifests/2',
    `/v2/library/app/manifests/${INDEX.manifest.digest}`,
    ...blobsOf(AMD64).map(({ digest }) => `/v2/library/app/blobs/${digest}`),
    ...blobsOf(TOOL).map(({ digest }) => `/v2/acme/tool/blobs/${digest}`),
  ]
  for (const path of paths) expect([path, (await mirror.fetch(path)).status]).toEqual([path, 200])
  const referrers = await mirror.fetch(`/v2/library/app/referrers/${INDEX.manifest.digest}`)
  expect(await referrers.json()).toMatchObject({ manifests: [{ digest: SBOM.manifest.digest }] })
  expect(registry.requests).toEqual([])
}

describe('what was exported', () => {
  it('is served by a mirror without upstreams once it is imported', async () => {
    const [report] = await importInto(mirror.operations.imports, await exported())
    const states = new Set(report?.images.map(({ state }) => state))
    expect([...states]).toEqual(['committed'])
    await expectServed()
  })

  it('may come in parts, in any order, and in several runs', async () => {
    source.registry.add('acme/big', BIG, '1')
    await pull(source.mirror, 'acme/big', '1', BIG)
    const parts = await exported({ split: 2_000_000 })
    expect(parts.length).toBeGreaterThan(3)
    const api = mirror.operations.imports
    for (const part of parts.toReversed()) await importInto(api, [part])
    await expectServed()
    const [last] = await importInto(api, parts.toReversed())
    expect(last?.plan.absentParts).toEqual([])
    // What is larger than a part is put together of its pieces, which have to be there together.
    const done = last?.images.filter(({ state }) => state === 'committed')
    expect(done?.map(({ image }) => image)).toEqual(['docker.io/acme/big:1'])
    const big = blobsOf(BIG).map(({ digest }) => `/v2/acme/big/blobs/${digest}`)
    for (const path of big) expect((await mirror.fetch(path)).status).toBe(200)
  })

  it('goes on where it was stopped: what has come is not sent again', async () => {
    const paths = await exported()
    const api = mirror.operations.imports
    const put: string[] = []
    let begun = 0
    const failing = counting(api, async (digest, run) => {
      begun += 1
      if (begun > 5) throw new Error('the machine went down')
      await run()
      put.push(digest)
    })
    await expect(importInto(failing, paths)).rejects.toThrow('the machine went down')
    expect(put).toHaveLength(5)
    expect((await mirror.maintenance.images({})).items).toEqual([])
    expect((await mirror.maintenance.gc(false)).unreferenced).toEqual([])
    const again: string[] = []
    const whole = counting(api, async (digest, run) => {
      again.push(digest)
      await run()
    })
    await importInto(whole, paths)
    expect(again.filter((digest) => put.includes(digest))).toEqual([])
    await expectServed()
  })

  it('is not written again where the mirror has it, and is verified all the same', async () => {
    const api = mirror.operations.imports
    await importInto(api, await exported())
    const { digest, size } = TOOL.config
    const signal = new AbortController().signal
    const wrong = async function* () {
      yield new Uint8Array(size)
    }
    const putting = api.put({ digest, size, session: 'x' }, wrong(), signal)
    await expect(putting).rejects.toThrow(DigestMismatch)
    await expectServed()
  })
})
