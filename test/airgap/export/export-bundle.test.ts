import { readdirSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseBundleHeader } from '../../../src/airgap/bundle/parse-bundle-header.ts'
import type { ExportOptions } from '../../../src/airgap/export/export-bundle.ts'
import { exportBundle } from '../../../src/airgap/export/export-bundle.ts'
import type { ExportRequest } from '../../../src/core/airgap/export-api.ts'
import { blobPath, layoutOf } from '../../../src/store/layout.ts'
import { get, pull } from '../../core/maintenance/pulled.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import { buildImage } from '../../support/images.ts'
import { ManualClock } from '../../support/clock.ts'
import { expectIntact } from '../../support/oracle.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import {
  AMD64,
  ARM64,
  EVERYTHING,
  INDEX,
  openBundle,
  SBOM,
  SIGNATURE,
  SIGNATURE_TAG,
  startStocked,
  TOOL,
} from './stocked-mirror.ts'

const AMD64_ONLY: ExportRequest = { ...EVERYTHING, platforms: ['linux/amd64'] }
const MIB = 1024 * 1024

let stocked: Awaited<ReturnType<typeof startStocked>>
let dir: TempDir
let out: string

beforeEach(async () => {
  stocked = await startStocked()
  dir = await makeTempDir()
  out = join(dir.path, 'week34.tar')
})
afterEach(async () => {
  await stocked[Symbol.asyncDispose]()
  await dir.remove()
})

function write(
  request: ExportRequest,
  options: Partial<ExportOptions> = {},
  signal = new AbortController().signal,
  onProgress = () => {},
) {
  const { exports } = stocked.mirror.operations
  const defaults = { out, format: 'bundle', refName: 'tag', have: [], force: false, dryRun: false }
  const tools = { exports, clock: new ManualClock(), tool: 'oci-mirror test', onProgress }
  return exportBundle(request, { ...defaults, ...options } as ExportOptions, tools, signal)
}

describe('an export', () => {
  it('has what is here as a whole, and names the rest with what is missing', async () => {
    const report = await write(AMD64_ONLY)
    const { header, entries } = await openBundle(out)
    const image = 'docker.io/library/app'
    expect(
      header.images.map(({ image, platforms, subject }) => ({ image, platforms, subject })),
    ).toEqual([
      { image: 'docker.io/acme/tool:2', platforms: 'all', subject: undefined },
      { image: `${image}:1`, platforms: ['linux/amd64'], subject: undefined },
      {
        image: `${image}@${SBOM.manifest.digest}`,
        platforms: 'all',
        subject: INDEX.manifest.digest,
      },
      { image: `${image}:${SIGNATURE_TAG}`, platforms: 'all', subject: AMD64.manifest.digest },
    ])
    const carried = [AMD64, TOOL, SIGNATURE, SBOM].flatMap(({ manifest, config, layers }) =>
      [manifest, config, ...layers].map(({ digest }) => digest),
    )
    const digests = new Set([INDEX.manifest.digest, ...carried])
    expect(new Set(entries.map(({ digest }) => digest))).toEqual(digests)
    expect(report.incomplete).toEqual([
      {
        image: 'docker.io/acme/half:1',
        missing: [ARM64.config, ...ARM64.layers].map(({ digest }) => digest),
        reason: expect.stringContaining('3 of its 4 parts are not here'),
      },
    ])
    expect(await stocked.mirror.maintenance.show('app:1')).toMatchObject({ pinned: false })
    await expectIntact(stocked.mirror)
  })

  it('holds manifests first, then blobs from small to large', async () => {
    await write(AMD64_ONLY)
    const { header, entries } = await openBundle(out)
    const manifests = new Set(
      [INDEX, AMD64, TOOL, SIGNATURE, SBOM].map(({ manifest }) => manifest.digest),
    )
    const kinds = entries.map(({ digest }) => manifests.has(digest))
    expect(kinds).toEqual(kinds.toSorted((a, b) => Number(b) - Number(a)))
    const sizes = entries.slice(manifests.size).map(({ size }) => size)
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b))
    expect(header.blobs.map(({ digest }) => digest)).toEqual(entries.map(({ digest }) => digest))
  })

  it('is the same bytes each time, and leaves the header beside it', async () => {
    const report = await write(AMD64_ONLY)
    const first = await readFile(out)
    const other = join(dir.path, 'other.tar')
    await write(AMD64_ONLY, { out: other })
    expect(await readFile(other)).toEqual(first)
    const beside = parseBundleHeader(await readFile(join(dir.path, 'week34.json')))
    expect(beside.id).toBe(report.id)
    expect(report.files).toEqual([{ path: out, bytes: (await stat(out)).size }])
    expect((await readdir(dir.path)).toSorted()).toEqual([
      'other.json',
      'other.tar',
      'week34.json',
      'week34.tar',
    ])
  })

  it('names images in index.json as other tools read them, and signatures not at all', async () => {
    const indexOf = async (path: string) => {
      const text = (await readFile(path)).toString('latin1')
      const start = text.indexOf('{"schemaVersion"')
      return JSON.parse(text.slice(start, text.indexOf('\n', start))) as unknown
    }
    await write(AMD64_ONLY)
    expect(await indexOf(out)).toMatchObject({
      schemaVersion: 2,
      manifests: [
        {
          digest: TOOL.manifest.digest,
          annotations: {
            'io.containerd.image.name': 'docker.io/acme/tool:2',
            'org.opencontainers.image.ref.name': '2',
          },
        },
        { digest: INDEX.manifest.digest, size: INDEX.manifest.size },
        { digest: SBOM.manifest.digest },
        { digest: SIGNATURE.manifest.digest },
      ],
    })
    expect(JSON.stringify(await indexOf(out))).not.toContain(SIGNATURE_TAG)
    const full = join(dir.path, 'full.tar')
    await write(
      { ...AMD64_ONLY, references: ['acme/tool:2'], all: false },
      { out: full, refName: 'full' },
    )
    expect(await indexOf(full)).toMatchObject({
      manifests: [
        { annotations: { 'org.opencontainers.image.ref.name': 'docker.io/acme/tool:2' } },
      ],
    })
  })

  it('leaves signatures here if they are not wanted', async () => {
    await write({ ...AMD64_ONLY, referrers: false })
    const { header } = await openBundle(out)
    expect(header.images.map(({ image }) => image)).toEqual([
      'docker.io/acme/tool:2',
      'docker.io/library/app:1',
    ])
  })

  it('takes what is pinned, by name, by glob and by digest', async () => {
    await stocked.mirror.maintenance.pin({ references: ['acme/tool:2'], all: false })
    const none = { ...EVERYTHING, all: false, referrers: false }
    const names = async (request: ExportRequest) =>
      (await write(request, { dryRun: true })).images.map(({ image }) => image)
    expect(await names({ ...none, pinned: true })).toEqual(['docker.io/acme/tool:2'])
    expect(await names({ ...none, references: ['docker.io/acme/t*'] })).toEqual([
      'docker.io/acme/tool:2',
    ])
    const digest = AMD64.manifest.digest
    expect(await names({ ...none, references: [`app@${digest}`] })).toEqual([
      `docker.io/library/app@${digest}`,
    ])
  })

  it('takes what clients have been given since then, what they pulled by digest too', async () => {
    const other = buildImage({ seed: 'other' })
    const { digest } = other.manifest
    stocked.registry.add('acme/other', other)
    await pull(stocked.mirror, 'acme/other', digest, other)
    const names = async (request: ExportRequest) =>
      (await write(request, { dryRun: true })).images.map(({ image }) => image)
    const all = [
      'docker.io/acme/tool:2',
      'docker.io/library/app:1',
      `docker.io/acme/other@${digest}`,
    ]
    const plain = { ...AMD64_ONLY, referrers: false }
    expect(await names(plain)).toEqual(all)
    const since = { ...plain, all: false }
    expect((await names({ ...since, usedSince: Date.now() - 60_000 })).toSorted()).toEqual(
      all.toSorted(),
    )
    expect(await names({ ...since, usedSince: Date.now() + 60_000 })).toEqual([])
  })

  it('says of an index that has nothing for a platform what it has', async () => {
    const platforms = ['linux/s390x']
    const report = await write({ ...EVERYTHING, all: false, references: ['app:1'], platforms })
    expect(report.incomplete).toMatchObject([
      {
        reason: expect.stringContaining('not for linux/s390x, but for linux/amd64, linux/arm64/v8'),
      },
    ])
    expect(await readdir(dir.path)).toEqual([])
  })

  it('does not take bytes of another registry for what an image only names', async () => {
    await using elsewhere = await FakeRegistry.start()
    elsewhere.add('acme/tool', TOOL, '2')
    elsewhere.add('acme/copy', TOOL, '2')
    const upstreams = { 'docker.io': { registry: elsewhere }, 'ghcr.io': { registry: elsewhere } }
    await using mirror = await TestMirror.start({ upstreams })
    await pull(mirror, 'acme/tool', '2', TOOL)
    await get(mirror, '/v2/ghcr.io/acme/copy/manifests/2')
    const plan = await mirror.operations.exports.plan(EVERYTHING)
    expect(plan.images.map(({ image }) => image)).toEqual(['docker.io/acme/tool:2'])
    expect(plan.incomplete).toMatchObject([
      {
        image: 'ghcr.io/acme/copy:2',
        missing: [TOOL.config, ...TOOL.layers].map(({ digest }) => digest),
        reason: expect.stringContaining('2 came from other repositories'),
      },
    ])
  })

  it('names what is no image or not here, and goes on with the rest', async () => {
    const references = ['No Image', 'acme/gone:1', 'acme/tool:2']
    const report = await write({ ...EVERYTHING, all: false, references })
    expect(report.incomplete.map(({ image }) => image)).toEqual(['No Image', 'acme/gone:1'])
    expect(report.images.map(({ image }) => image)).toEqual(['docker.io/acme/tool:2'])
  })

  it('carries only what is new to a side that took in an earlier one, and names what it needs', async () => {
    await write(AMD64_ONLY)
    const first = await openBundle(out)
    const next = buildImage({ seed: 'next' })
    stocked.registry.add('library/next', next, '1')
    await pull(stocked.mirror, 'library/next', '1', next)
    for (const [name, have] of [
      ['by-header', join(dir.path, 'week34.json')],
      ['by-bundle', out],
    ] as const) {
      const path = join(dir.path, `${name}.tar`)
      const report = await write(AMD64_ONLY, { out: path, have: [have] })
      const { header, entries } = await openBundle(path)
      expect(header.images.map(({ image }) => image)).toEqual(['docker.io/library/next:1'])
      expect(new Set(entries.map(({ digest }) => digest))).toEqual(
        new Set([next.manifest, next.config, ...next.layers].map(({ digest }) => digest)),
      )
      expect(report.full.images).toBe(3)
      expect(report.have).toMatchObject([{ name: have, blobs: first.header.blobs.length }])
    }
    const nothing = await write(AMD64_ONLY, {
      out: join(dir.path, 'nothing.tar'),
      have: [out, join(dir.path, 'by-header.json')],
    })
    expect(nothing).toMatchObject({ images: [], files: [] })
    expect(await readdir(dir.path)).not.toContain('nothing.tar')
  })

  it('takes an inventory for what the other side has, and refuses what is none', async () => {
    const inventory = join(dir.path, 'site.inventory')
    const blobs = [TOOL.manifest, TOOL.config].map(({ digest }) => digest)
    await writeFile(inventory, JSON.stringify({ version: 1, created: 1, images: [], blobs }))
    await write({ ...EVERYTHING, all: false, references: ['acme/tool:2'] }, { have: [inventory] })
    const { header } = await openBundle(out)
    expect(header.requires.map(({ digest }) => digest)).toEqual(blobs)
    expect(header.blobs.map(({ digest }) => digest)).toEqual(
      TOOL.layers.map(({ digest }) => digest),
    )
    await writeFile(inventory, JSON.stringify({ version: 2 }))
    const other = { out: join(dir.path, 'other.tar') }
    await expect(write(AMD64_ONLY, { ...other, have: [inventory] })).rejects.toThrow(
      `--have ${inventory}: it is no inventory of this version; it has to be an inventory`,
    )
    const missing = [join(dir.path, 'none')]
    await expect(write(AMD64_ONLY, { ...other, have: missing })).rejects.toThrow('ENOENT')
  })
})

describe('an export in parts', () => {
  const large = buildImage({ seed: 'large', layers: 1, layerBytes: 3 * MIB })
  const request = { ...EVERYTHING, all: false, references: ['large:1', 'acme/tool:2'] }

  beforeEach(async () => {
    stocked.registry.add('library/large', large, '1')
    await pull(stocked.mirror, 'library/large', '1', large)
  })

  it('has a header in each, cuts only what is larger than a part, and loses no byte', async () => {
    const split = 1.5 * MIB
    const report = await write(request, { split })
    expect(report.files.map(({ path }) => path)).toEqual(
      [1, 2, 3].map((part) => join(dir.path, `week34.00${part}.tar`)),
    )
    const parts = await Promise.all(report.files.map(({ path }) => openBundle(path)))
    expect(parts.map(({ header }) => header.part)).toEqual([1, 2, 3])
    expect(new Set(parts.map(({ header }) => header.id))).toEqual(new Set([report.id]))
    for (const { path, bytes } of report.files) {
      expect((await stat(path)).size).toBe(bytes)
      expect(bytes).toBeLessThan(split)
    }
    const [layer] = large.layers
    const pieces = parts.flatMap(({ entries, bytes }) =>
      entries
        .filter(({ piece, digest }) => piece !== undefined && digest === layer?.digest)
        .map(({ name }) => bytes.get(name) ?? Buffer.alloc(0)),
    )
    expect(Buffer.concat(pieces).equals(layer?.bytes ?? Buffer.alloc(0))).toBe(true)
    const named = new Set(parts.flatMap(({ entries }) => entries.map(({ digest }) => digest)))
    expect(named).toEqual(new Set(parts[0]?.header.blobs.map(({ digest }) => digest)))
  })

  it('is refused where a part has no room for what each begins with', async () => {
    await expect(write(request, { split: MIB })).rejects.toThrow('use --split with at least 2MiB')
  })

  it('replaces another one as a whole, if it is told to', async () => {
    await write(request, { split: 1.5 * MIB })
    await expect(write(request)).rejects.toThrow('week34.json is there already')
    await write({ ...request, references: ['acme/tool:2'] }, { split: 2 * MIB, force: true })
    expect((await readdir(dir.path)).toSorted()).toEqual(['week34.001.tar', 'week34.json'])
  })
})

describe('an export that fails', () => {
  it('leaves nothing where a blob is damaged, and names it', async () => {
    const [layer] = TOOL.layers
    const path = blobPath(layoutOf(stocked.mirror.dir), layer?.digest ?? TOOL.config.digest)
    const bytes = await readFile(path)
    await writeDamaged(path, bytes)
    await expect(write(AMD64_ONLY)).rejects.toMatchObject({
      problem: 'damaged',
      message: expect.stringContaining(`${layer?.digest} is damaged here`),
    })
    expect(await readdir(dir.path)).toEqual([])
  })

  it.each([undefined, 2 * MIB])('leaves nothing where it is stopped (parts: %j)', async (split) => {
    const stopped = new AbortController()
    const options = split === undefined ? {} : { split }
    const seen: string[] = []
    const onProgress = () => {
      seen.push(...readdirSync(dir.path))
      stopped.abort(new Error('stopped'))
    }
    await expect(write(AMD64_ONLY, options, stopped.signal, onProgress)).rejects.toThrow('stopped')
    expect(new Set(seen)).toEqual(
      new Set([split === undefined ? 'week34.tar.partial' : 'week34.001.tar.partial']),
    )
    expect(await readdir(dir.path)).toEqual([])
    await expectIntact(stocked.mirror)
  })

  it('replaces no file that is not of an export', async () => {
    await writeFile(join(dir.path, 'week34.json'), '{"name":"a package"}')
    await expect(write(AMD64_ONLY, { force: true })).rejects.toThrow(
      'is no list of an earlier export',
    )
    expect(await readdir(dir.path)).toEqual(['week34.json'])
  })

  it('says so where there is no such directory', async () => {
    await expect(write(AMD64_ONLY, { out: join(dir.path, 'none/x.tar') })).rejects.toThrow(
      `cannot write to ${join(dir.path, 'none')}`,
    )
  })
})

/** Stored blobs are read-only, which root is not kept from by. */
async function writeDamaged(path: string, bytes: Buffer): Promise<void> {
  bytes[1000] = 255 - (bytes[1000] ?? 0)
  await writeFile(path, bytes)
}
