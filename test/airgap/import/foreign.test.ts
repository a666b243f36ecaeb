import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ImportApi } from '../../../src/core/airgap/import-api.ts'
import { blobEntry } from '../../../src/airgap/bundle/entry-name.ts'
import { buildArtifact, descriptor } from '../../support/artifacts.ts'
import { FakeRegistry } from '../../support/fake-registry.ts'
import type { TestIndex } from '../../support/images.ts'
import { buildImage, buildIndex } from '../../support/images.ts'
import { expectIntact } from '../../support/oracle.ts'
import type { RawEntry } from '../../support/raw-tar.ts'
import { rawTar, TAR_ZEROS } from '../../support/raw-tar.ts'
import type { TempDir } from '../../support/temp-dir.ts'
import { makeTempDir } from '../../support/temp-dir.ts'
import { TestMirror } from '../../support/test-mirror.ts'
import { blobsOf } from './build-bundle.ts'
import { importInto } from './import-into.ts'

const AMD64 = buildImage({ seed: 'foreign' })
const ARM64 = buildImage({ seed: 'foreign', platform: { os: 'linux', architecture: 'arm64' } })
const INDEX = buildIndex([AMD64, ARM64])

let registry: FakeRegistry
let mirror: TestMirror
let dir: TempDir
let api: ImportApi

beforeEach(async () => {
  registry = await FakeRegistry.start()
  mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } })
  api = mirror.operations.imports
  dir = await makeTempDir()
})
afterEach(async () => {
  await expectIntact(mirror)
  await mirror[Symbol.asyncDispose]()
  await registry.close()
  await dir.remove()
})

function layout(
  content: TestIndex,
  annotations: Readonly<Record<string, string>>,
): readonly RawEntry[] {
  const root = { ...descriptor(content.manifest), annotations }
  return [
    ...blobsOf(content).map(({ digest, bytes }) => ({ name: blobEntry(digest), bytes })),
    { name: 'index.json', bytes: JSON.stringify({ schemaVersion: 2, manifests: [root] }) },
    { name: 'oci-layout', bytes: '{"imageLayoutVersion":"1.0.0"}' },
  ]
}

async function write(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(dir.path, name)
  await writeFile(path, bytes)
  return path
}

const tar = (entries: readonly RawEntry[]) => Buffer.concat([rawTar(entries), TAR_ZEROS])

async function expectPulls(name: string, content: TestIndex): Promise<void> {
  for (const { digest } of blobsOf(content)) {
    expect((await mirror.fetch(`/v2/${name}/blobs/${digest}`)).status).toBe(200)
  }
}

const FULL = { 'io.containerd.image.name': 'docker.io/library/app:1' }

describe('an OCI layout', () => {
  it.each([
    ['in a tar', tar(layout(INDEX, FULL))],
    [
      'with directories, as tar makes it',
      tar([
        { name: './', type: '5' },
        { name: './blobs/', type: '5' },
        ...layout(INDEX, FULL).map((entry) => ({ ...entry, name: `./${entry.name}` })),
      ]),
    ],
    ['in a tar of gzip', gzipSync(tar(layout(INDEX, FULL)))],
    ['in a tar of zstd', zstdCompressSync(tar(layout(INDEX, FULL)))],
  ])('%s is imported under its names, with its digests', async (_, bytes) => {
    const [report] = await importInto(api, [await write('layout.tar', bytes)])
    expect(report?.images).toMatchObject([
      { image: 'docker.io/library/app:1', digest: INDEX.manifest.digest, state: 'committed' },
    ])
    await expectPulls('library/app', INDEX)
  })

  it('in a directory is imported', async () => {
    const root = join(dir.path, 'layout')
    for (const { name, bytes = '' } of layout(INDEX, FULL)) {
      await mkdir(dirname(join(root, name)), { recursive: true })
      await writeFile(join(root, name), bytes)
    }
    const [report] = await importInto(api, [root])
    expect(report?.images.map(({ state }) => state)).toEqual(['committed'])
    await expectPulls('library/app', INDEX)
  })

  it('that lacks some platforms is imported for those that it has', async () => {
    const sparse = { ...INDEX, images: [AMD64] }
    const [report] = await importInto(api, [await write('sparse.tar', tar(layout(sparse, FULL)))])
    expect(report?.images.map(({ state }) => state)).toEqual(['committed'])
    await expectPulls('library/app', sparse)
  })

  it('brings what is attached to an image that has a name, although it has none itself', async () => {
    const sbom = buildArtifact({ subject: AMD64.manifest, artifactType: 'a/sbom' })
    const manifests = [
      { ...descriptor(sbom.manifest) },
      { ...descriptor(INDEX.manifest), annotations: FULL },
    ]
    const path = await write(
      'attached.tar',
      tar([
        ...layout(INDEX, FULL).filter(({ name }) => name !== 'index.json'),
        ...[sbom.manifest, sbom.config, ...sbom.layers].map(({ digest, bytes }) => ({
          name: blobEntry(digest),
          bytes,
        })),
        { name: 'index.json', bytes: JSON.stringify({ schemaVersion: 2, manifests }) },
      ]),
    )
    const [report] = await importInto(api, [path])
    expect(report?.images.map(({ image, state }) => [image, state])).toEqual([
      ['docker.io/library/app:1', 'committed'],
      [`docker.io/library/app@${sbom.manifest.digest}`, 'committed'],
    ])
  })

  it('says what a shortened name becomes', async () => {
    const short = { 'org.opencontainers.image.ref.name': 'app:1' }
    const path = await write('short.tar', tar(layout(INDEX, short)))
    const [report] = await importInto(api, [path])
    expect(report?.plan.notes).toEqual(['app:1 becomes docker.io/library/app:1'])
  })

  it('with a tag alone, or no name, needs a repository', async () => {
    const tagged = { 'org.opencontainers.image.ref.name': '1' }
    const path = await write('tag.tar', tar(layout(INDEX, tagged)))
    await expect(importInto(api, [path])).rejects.toThrow(/it has only the tag 1: say with --name/)
    const [report] = await importInto(api, [path], { name: 'app' })
    expect(report?.images.map(({ image }) => image)).toEqual(['docker.io/library/app:1'])
    const nameless = await write('nameless.tar', tar(layout(INDEX, {})))
    const [second] = await importInto(api, [nameless], { name: 'docker.io/acme/x' })
    expect(second?.images.map(({ image }) => image)).toEqual([
      `docker.io/acme/x@${INDEX.manifest.digest}`,
    ])
  })

  it('with a damaged blob is not imported, and the blob is named', async () => {
    const [layer] = AMD64.layers
    const name = blobEntry((layer ?? AMD64.config).digest)
    const entries = layout(INDEX, FULL).map((entry) =>
      entry.name === name ? { name, bytes: Buffer.alloc(layer?.size ?? 0) } : entry,
    )
    const [report] = await importInto(api, [await write('bad.tar', tar(entries))])
    expect(report?.damaged).toMatchObject([{ place: `bad.tar: ${name}` }])
    expect(report?.images.map(({ state }) => state)).toEqual(['incomplete'])
  })

  it('with a list that would take gigabytes to read is refused before it is read', async () => {
    const entries = layout(INDEX, FULL).filter(({ name }) => name !== 'index.json')
    const nested = `{"manifests":${'['.repeat(40)}${']'.repeat(40)}}`
    const path = await write('bomb.tar', tar([...entries, { name: 'index.json', bytes: nested }]))
    await expect(importInto(api, [path])).rejects.toThrow(/index\.json has more in it than/)
  })

  it('cannot come from standard input', async () => {
    const stdin = Readable.from([tar(layout(INDEX, FULL))])
    await expect(importInto(api, ['-'], { stdin })).rejects.toThrow(
      /oci-layout has to be: it is no bundle; other archives have to be files/,
    )
  })
})

describe('what docker save writes', () => {
  const layers = ['first', 'second'].map((text) => tar([{ name: text, bytes: text }]))
  const diffIds = layers.map(
    (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
  )
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: diffIds },
  })
  const saved = (tags: readonly string[] | null, names: readonly string[]): RawEntry => ({
    name: 'manifest.json',
    bytes: JSON.stringify([{ Config: 'config.json', RepoTags: tags, Layers: names }]),
  })

  it('is imported with a manifest that is made, and says so', async () => {
    const path = await write(
      'old.tar',
      tar([
        { name: 'aa/layer.tar', bytes: layers[0] ?? '' },
        { name: 'bb/', type: '5' },
        { name: 'bb/VERSION', bytes: '1.0' },
        { name: 'bb/layer.tar', bytes: layers[1] ?? '' },
        { name: 'config.json', bytes: config },
        saved(['app:1', 'quay.io/acme/app:2'], ['aa/layer.tar', 'bb/layer.tar']),
        { name: 'repositories', bytes: '{}' },
      ]),
    )
    const [report] = await importInto(api, [path])
    expect(report?.images).toMatchObject([
      { image: 'docker.io/library/app:1', state: 'committed' },
      { image: 'quay.io/acme/app:2', state: 'refused' },
    ])
    expect(report?.plan.notes[0]).toMatch(/^docker\.io\/library\/app:1 gets the new digest sha256:/)
    const manifest = await mirror.fetch('/v2/library/app/manifests/1')
    const body = (await manifest.json()) as { readonly layers: readonly { digest: string }[] }
    expect(body.layers.map(({ digest }) => digest)).toEqual(diffIds)
    expect((await mirror.fetch(`/v2/library/app/blobs/${diffIds[1]}`)).status).toBe(200)
  })

  it('may have a link where a layer comes twice, but none that leads elsewhere', async () => {
    const twice = JSON.stringify({ rootfs: { diff_ids: [diffIds[0], diffIds[0]] } })
    const entries = (target: string) => [
      { name: 'aa/layer.tar', bytes: layers[0] ?? '' },
      { name: 'bb/layer.tar', type: '2', target },
      { name: 'config.json', bytes: twice },
      saved(['app:1'], ['aa/layer.tar', 'bb/layer.tar']),
    ]
    const path = await write('links.tar', tar(entries('../aa/layer.tar')))
    const [report] = await importInto(api, [path])
    expect(report?.images.map(({ state }) => state)).toEqual(['committed'])
    const evil = await write('evil.tar', tar(entries('/etc/shadow')))
    await expect(importInto(api, [evil])).rejects.toThrow(/is a link to "\/etc\/shadow"/)
  })

  it('without a name needs a repository; with a layer of other bytes it is refused', async () => {
    const entries = (first: Uint8Array) => [
      { name: 'aa.tar', bytes: first },
      { name: 'bb.tar', bytes: layers[1] ?? '' },
      { name: 'config.json', bytes: config },
      saved(null, ['aa.tar', 'bb.tar']),
    ]
    const path = await write('nameless.tar', tar(entries(layers[0] ?? Buffer.alloc(0))))
    await expect(importInto(api, [path])).rejects.toThrow(/say with --name/)
    const [report] = await importInto(api, [path], { name: 'acme/app' })
    expect(report?.images).toMatchObject([
      { image: expect.stringMatching(/^docker\.io\/acme\/app@sha256:/) },
    ])
    const wrong = await write('wrong.tar', tar(entries(Buffer.from('other'))))
    await expect(importInto(api, [wrong], { name: 'a/b' })).rejects.toThrow(
      'wrong.tar: aa.tar has other bytes than config.json says',
    )
  })
})

describe('a file that is none of these', () => {
  it('is refused with what it could have been', async () => {
    const path = await write('x.tar', tar([{ name: 'hello', bytes: 'x' }]))
    await expect(importInto(api, [path])).rejects.toThrow(
      /x\.tar is no archive of images: it would be/,
    )
  })
})
