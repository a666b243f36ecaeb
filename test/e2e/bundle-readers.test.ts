import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runHere } from '../cli/fake-terminal.ts'
import { pull, pullIndex } from '../core/maintenance/pulled.ts'
import { buildArtifact } from '../support/artifacts.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestImage } from '../support/images.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { TestMirror } from '../support/test-mirror.ts'
import { digestHex } from '../../src/oci/digest.ts'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import type { ContainerdRelease } from './clients/containerd.ts'
import { CONTAINERD_1, CONTAINERD_2, startContainerd } from './clients/containerd.ts'
import { startDocker } from './clients/docker.ts'
import { layoutDigests, unpackedDigests, writeConfig } from './clients/pull-client.ts'
import { Containers } from './support/containers.ts'
import { goProgram } from './support/go-programs.ts'
import { runCommand } from './support/programs.ts'

/** The machine's own, or the daemons have nothing to unpack. */
const HERE = process.arch === 'arm64' ? 'arm64' : 'amd64'
const ELSEWHERE = HERE === 'amd64' ? 'arm64' : 'amd64'

const here = imageFor(HERE)
const index = buildIndex([imageFor(ELSEWHERE), here])
const tool = buildImage({ seed: 'e2e tool', layers: 1, platform: platform(HERE) })
const signature = buildArtifact({ seed: 'e2e signature' })
const sbom = buildArtifact({ seed: 'e2e sbom', subject: index.manifest, artifactType: 'a/sbom' })

const APP = 'docker.io/library/oci-mirror-app:1'
const TOOL = 'docker.io/acme/oci-mirror-tool:2'

/** The native snapshotter needs no overlay file system, which a container may not have. */
const UNPACKS_NATIVELY = [
  '[[plugins."io.containerd.transfer.v1.local".unpack_config]]',
  `platform = "linux/${HERE}"`,
  'snapshotter = "native"',
]

function platform(architecture: string) {
  return { os: 'linux', architecture }
}

function imageFor(architecture: string): TestImage {
  return buildImage({ seed: 'e2e app', layerBytes: 100_000, platform: platform(architecture) })
}

/** One bundle of a sparse index with a signature and an SBOM, and of a plain image; and both for old loaders. */
describe('a bundle that was exported', () => {
  let dir: TempDir
  let bundle: string
  let archive: string

  beforeAll(async () => {
    dir = await makeTempDir()
    const data = join(dir.path, 'data')
    await stock(data)
    const config = {
      admin: { listen: false },
      storage: { dir: data, minFree: 0 },
      upstreams: { 'docker.io': { url: 'http://127.0.0.1:9' } },
    }
    await writeFile(join(dir.path, 'mirror.config.json'), JSON.stringify(config))
    bundle = await write('bundle.tar')
    archive = await write('archive.tar', '--format', 'docker')
  })
  afterAll(() => dir.remove())

  async function write(name: string, ...options: readonly string[]): Promise<string> {
    const platform = ['--platform', `linux/${HERE}`]
    const args = ['export', '-o', name, APP, TOOL, ...platform, ...options]
    const { code, stderr } = await runHere(args, dir.path)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return join(dir.path, name)
  }

  it.each<[string, ContainerdRelease, readonly string[]]>([
    ['containerd 1.6', CONTAINERD_1, []],
    ['containerd 2', CONTAINERD_2, []],
    ['containerd 2, --local', CONTAINERD_2, ['--local']],
  ])('is imported by ctr of %s, which unpacks it', async (name, release, options) => {
    const home = join(dir.path, name.replaceAll(/[ ,]+/g, '-'))
    const settings = release === CONTAINERD_2 ? UNPACKS_NATIVELY : []
    const containerd = await startContainerd({ dir: home, release, settings, env: process.env })
    try {
      await containerd.run('images', 'import', ...options, '--snapshotter', 'native', bundle)
      const names = (await containerd.run('images', 'ls', '-q')).trim().split('\n')
      expect(names.toSorted()).toEqual([TOOL, APP].toSorted())
      const content = (await containerd.run('content', 'ls', '-q')).trim().split('\n')
      const wanted = [index, here, tool].map(({ manifest }) => manifest.digest)
      const blobs = [here, tool].flatMap(({ config, layers }) => [config, ...layers])
      expect(content).toEqual(expect.arrayContaining([...wanted, ...blobs.map((b) => b.digest)]))
    } finally {
      await containerd.stop()
    }
  })

  it('is copied by skopeo, by the tag', async () => {
    for (const [tag, image] of [
      ['1', here],
      ['2', tool],
    ] as const) {
      const layout = join(dir.path, `skopeo-${tag}`)
      const policy = await acceptAnything()
      const args = ['--policy', policy, 'copy', '--preserve-digests']
      await runCommand('skopeo', [...args, `oci-archive:${bundle}:${tag}`, `oci:${layout}:x`])
      const digests = [image.manifest, image.config, ...image.layers].map(({ digest }) => digest)
      expect(await layoutDigests(layout)).toEqual(new Set(digests))
    }
  })

  it('is imported by regctl, by the tag', async () => {
    const layout = join(dir.path, 'regctl')
    await mkdir(layout)
    const env = { ...process.env, HOME: layout }
    const args = ['image', 'import', '--name', '2', `ocidir://${layout}/tool:x`, bundle]
    await runCommand(goProgram('regctl'), args, { env })
    const digests = [tool.manifest, tool.config, ...tool.layers].map(({ digest }) => digest)
    expect(await layoutDigests(join(layout, 'tool'))).toEqual(new Set(digests))
  })

  it('is loaded by Docker in the format for it', async () => {
    const docker = await startDocker({
      dir: join(dir.path, 'docker'),
      settings: {},
      env: process.env,
    })
    try {
      const said = await docker.run('load', '--input', archive)
      expect(said).toContain('oci-mirror-app:1')
      for (const [name, image] of [
        ['oci-mirror-app:1', here],
        ['acme/oci-mirror-tool:2', tool],
      ] as const) {
        const printed = await docker.run('image', 'inspect', name)
        const [{ Id, RootFS }] = JSON.parse(printed) as [
          { readonly Id: string; readonly RootFS: { readonly Layers: readonly string[] } },
        ]
        expect(new Set([Id, ...RootFS.Layers])).toEqual(unpackedDigests(image))
      }
    } finally {
      await docker.stop()
    }
  })

  it('is loaded by podman in the format for it', async () => {
    const home = join(dir.path, 'podman')
    await mkdir(home)
    const containers = await Containers.open(home)
    const policy = await acceptAnything()
    await containers.podman('load', '--signature-policy', policy, '--input', archive)
    for (const [name, image] of [
      [APP, here],
      [TOOL, tool],
    ] as const) {
      const printed = await containers.podman('image', 'inspect', name)
      const [{ Id, RootFS }] = JSON.parse(printed) as [
        { readonly Id: string; readonly RootFS: { readonly Layers: readonly string[] } },
      ]
      expect(new Set([`sha256:${Id}`, ...RootFS.Layers])).toEqual(unpackedDigests(image))
    }
    await containers.close()
  })

  function acceptAnything(): Promise<string> {
    const accept = { default: [{ type: 'insecureAcceptAnything' }] }
    return writeConfig(dir.path, 'policy.json', JSON.stringify(accept))
  }
})

/** A data directory as a mirror leaves it, from which a machine has pulled. */
async function stock(data: string): Promise<void> {
  await mkdir(data)
  openDataDirectory(data).release()
  const registry = await FakeRegistry.start()
  const app = 'library/oci-mirror-app'
  const signatureTag = `sha256-${digestHex(index.manifest.digest)}.sig`
  registry.add(app, index, '1')
  registry.add(app, signature, signatureTag)
  registry.add(app, sbom)
  registry.add('acme/oci-mirror-tool', tool, '2')
  const held = { path: data, remove: async () => {}, [Symbol.asyncDispose]: async () => {} }
  const mirror = await TestMirror.start({ upstreams: { 'docker.io': { registry } } }, held)
  await pullIndex(mirror, app, '1', index, here)
  await pull(mirror, app, signatureTag, signature)
  await pull(mirror, app, sbom.manifest.digest, sbom)
  await pull(mirror, 'acme/oci-mirror-tool', '2', tool)
  await mirror.close()
  await registry.close()
}
