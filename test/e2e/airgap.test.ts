import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BundleHeader } from '../../src/airgap/bundle/bundle-header.ts'
import type { ImportReport } from '../../src/airgap/import/import-report.ts'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { buildArtifact, buildReferrersIndex, described, descriptor } from '../support/artifacts.ts'
import type { TestImage, TestIndex } from '../support/images.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { expectTrueNames, expectTrueRows } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { runImportRounds } from '../torture/import-rounds.ts'
import { randomFrom } from '../torture/random.ts'
import type { Containerd } from './clients/containerd.ts'
import { CONTAINERD_1, CONTAINERD_2, startContainerd } from './clients/containerd.ts'
import { createPodman } from './clients/containers-image.ts'
import type { Docker } from './clients/docker.ts'
import { startDocker } from './clients/docker.ts'
import { createCrane, createRegctl } from './clients/explicit-name.ts'
import type { PullClient } from './clients/pull-client.ts'
import type { Registry } from './registries/distribution.ts'
import { DISTRIBUTION_2, startDistribution } from './registries/distribution.ts'
import { pushImage } from './registries/push.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { mirrorCommand, startMirror } from './support/mirror-program.ts'
import { Outside } from './support/outside.ts'

const IMAGES = 20
/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:9'
const PLATFORMS = ['amd64', 'arm64'].map((architecture) => ({ os: 'linux', architecture }))
const [AMD64, ARM64] = PLATFORMS.map((platform) =>
  buildImage({ seed: 'airgap', layerBytes: 600_000, platform }),
) as [TestImage, TestImage]
const INDEX = buildIndex([AMD64, ARM64])
const SIGNATURE = buildArtifact({ seed: 'cosign' })
const SIGNATURE_TAG = `${INDEX.manifest.digest.replace(':', '-')}.sig`
const SBOM_TYPE = 'application/spdx+json'
const SBOM = buildArtifact({ seed: 'sbom', subject: AMD64.manifest, artifactType: SBOM_TYPE })
const BASE = buildImage({ seed: 'base', layerBytes: 400_000 })
const FIRST = Array.from({ length: IMAGES }, (_, n) => imageOnBase(`service ${n}`))
const CHANGED = [3, 7, 11]
const SECOND = FIRST.map((image, n) =>
  CHANGED.includes(n) ? imageOnBase(`service ${n} again`) : image,
)

/** All of these share the layers of one base. */
function imageOnBase(seed: string): TestImage {
  const own = buildImage({ seed, layers: 1, layerBytes: 20_000 })
  const layers = [...BASE.layers, ...own.layers]
  const config = described(
    own.config.mediaType,
    Buffer.from(
      JSON.stringify({
        ...PLATFORMS[0],
        config: { Labels: { seed } },
        rootfs: { type: 'layers', diff_ids: [BASE, own].flatMap(diffIds) },
      }),
    ),
  )
  const body = {
    schemaVersion: 2,
    mediaType: own.manifest.mediaType,
    config: descriptor(config),
    layers: layers.map(descriptor),
  }
  const manifest = described(own.manifest.mediaType, Buffer.from(JSON.stringify(body)))
  return { manifest, config, layers, platform: own.platform }
}

function diffIds({ config }: TestImage): readonly string[] {
  const parsed: unknown = JSON.parse(Buffer.from(config.bytes).toString())
  return (parsed as { rootfs: { diff_ids: readonly string[] } }).rootfs.diff_ids
}

let dir: TempDir
let outside: Outside
let isolated: MirrorProgram

/** Fills a mirror from Debian's registry, writes two bundles, and ends both. */
async function carry(): Promise<void> {
  const registry = await startDistribution({ program: DISTRIBUTION_2, dir: join(dir.path, 'hub') })
  await push(registry)
  const home = join(dir.path, 'online')
  await mkdir(home)
  const config = { upstreams: { 'docker.io': { url: registry.url } } }
  const online = await startMirror({ dir: home, config })
  const names = FIRST.map((_, n) => `acme/service-${n}:1`)
  const warm = () => online.command('warm', 'app:1', ...names, '--platform', 'all')
  await warm()
  await online.command('export', '--all', '--platform', 'all', '-o', join(dir.path, 'week34.tar'))
  for (const n of CHANGED) {
    const image = SECOND[n]
    if (image !== undefined) await pushService(registry, n, image)
  }
  await warm()
  const have = ['--have', join(dir.path, 'week34.tar')]
  const target = ['-o', join(dir.path, 'week35.tar')]
  await online.command('export', '--all', '--platform', 'all', ...have, ...target)
  await online.stop()
  await registry.stop()
}

async function push(registry: Registry): Promise<void> {
  const target = { url: registry.url, repository: 'library/app' }
  await pushImage(target, INDEX, '1')
  await pushImage(target, SIGNATURE, SIGNATURE_TAG)
  await pushImage(target, SBOM)
  const listed = { ...descriptor(SBOM.manifest), artifactType: SBOM_TYPE }
  const list = { manifest: buildReferrersIndex([listed]), images: [SBOM] }
  // What a client does for a registry that has no referrers API.
  await pushImage(target, list, AMD64.manifest.digest.replace(':', '-'))
  for (const [n, image] of FIRST.entries()) await pushService(registry, n, image)
}

function pushService({ url }: Registry, n: number, image: TestImage): Promise<void> {
  return pushImage({ url, repository: `acme/service-${n}` }, image, '1')
}

async function importBundle(name: string): Promise<ImportReport> {
  const said = await isolated.command('import', join(dir.path, name), '--output', 'json')
  return JSON.parse(said) as ImportReport
}

beforeAll(async () => {
  dir = await makeTempDir()
  outside = await Outside.start()
  await carry()
  const home = join(dir.path, 'isolated')
  await mkdir(home)
  const config = { upstreams: { 'docker.io': { url: NOWHERE } } }
  isolated = await startMirror({ dir: home, config, flags: ['--offline'] })
})
afterAll(async () => {
  await isolated?.stop()
  await outside?.close()
  await dir?.remove()
})

const headerOf = async (name: string) =>
  JSON.parse(await readFile(join(dir.path, name), 'utf8')) as BundleHeader

describe('a mirror with no upstream', () => {
  it('takes in a bundle of everything', async () => {
    const report = await importBundle('week34.tar')
    expect(new Set(report.bundles[0]?.images.map(({ state }) => state))).toEqual(
      new Set(['committed']),
    )
    const blobs = new Set(FIRST.flatMap(({ layers }) => layers.map(({ digest }) => digest)))
    expect(blobs.size).toBe(BASE.layers.length + IMAGES)
    await expectTrueNames(join(dir.path, 'isolated/data'))
    await expectTrueRows(join(dir.path, 'isolated/data'))
  })

  it('has the signature, and lists the SBOM', async () => {
    const url = `${isolated.url}/v2/library/app`
    expect((await fetch(`${url}/manifests/${SIGNATURE_TAG}`)).status).toBe(200)
    const list = await fetch(`${url}/referrers/${AMD64.manifest.digest}`)
    expect(await list.json()).toMatchObject({
      manifests: [{ digest: SBOM.manifest.digest, artifactType: SBOM_TYPE }],
    })
    for (const { digest } of [SBOM.config, ...SBOM.layers, ...SIGNATURE.layers]) {
      expect((await fetch(`${url}/blobs/${digest}`)).status).toBe(200)
    }
  })

  describe('is pulled from', () => {
    let daemons: AsyncDisposableStack
    let containerds: readonly Containerd[]
    let docker: Docker
    let files: (client: string) => Promise<string>

    beforeAll(async () => {
      daemons = new AsyncDisposableStack()
      const { env } = outside
      files = async (client) => {
        const folder = join(dir.path, `files-${client}`)
        await mkdir(folder, { recursive: true })
        const url = ['--url', isolated.url]
        await isolated.command('client-config', client, ...url, '--write', folder)
        return folder
      }
      containerds = await Promise.all(
        [CONTAINERD_1, CONTAINERD_2].map((release, n) =>
          startContainerd({ release, dir: join(dir.path, `containerd-${n}`), env }),
        ),
      )
      for (const one of containerds) daemons.adopt(one, (daemon) => daemon.stop())
      const settings: unknown = JSON.parse(
        await readFile(join(await files('docker'), 'daemon.json'), 'utf8'),
      )
      docker = await startDocker({
        dir: join(dir.path, 'docker'),
        settings: settings as object,
        env,
      })
      daemons.adopt(docker, (daemon) => daemon.stop())
    })
    afterAll(() => daemons?.disposeAsync())

    const clients: readonly (readonly [string, () => Promise<PullClient>])[] = [
      ['containerd 1.6', () => withContainerd(0)],
      ['containerd 2', () => withContainerd(1)],
      ['Docker', async () => docker.client()],
      ['podman', () => withPodman()],
      ['crane', async () => createCrane(explicit('crane'))],
      ['regctl', async () => createRegctl(explicit('regctl'))],
    ]

    it.each(clients)('by %s, by tag and by digest', async (_, open) => {
      const client = await open()
      await expectPulls(client, 'library/app', INDEX)
      await expectPulls(client, 'acme/service-7', FIRST[7])
      expect(outside.takeAsked()).toEqual([])
    })

    async function withContainerd(n: number): Promise<PullClient> {
      const hostsDir = await files('containerd')
      const daemon = containerds[n]
      if (daemon === undefined) throw new Error('it was not started')
      return daemon.client({ hostsDir })
    }

    async function withPodman(): Promise<PullClient> {
      const registriesConf = join(await files('podman'), 'oci-mirror.conf')
      return createPodman({ dir: join(dir.path, 'podman'), registriesConf, env: outside.env })
    }

    function explicit(name: string) {
      const place = `${isolated.host}/docker.io`
      return { dir: join(dir.path, name), place, env: outside.env }
    }
  })

  it('takes in what has changed since, which is all that the next bundle has', async () => {
    const header = await headerOf('week35.json')
    const changed = CHANGED.flatMap((n) => {
      const { manifest, config, layers } = SECOND[n] ?? BASE
      return [manifest, config, ...layers.slice(BASE.layers.length)]
    })
    expect(new Set(header.blobs.map(({ digest }) => digest))).toEqual(
      new Set(changed.map(({ digest }) => digest)),
    )
    const report = await importBundle('week35.tar')
    const committed = report.bundles[0]?.images.filter(({ state }) => state === 'committed')
    expect(committed?.map(({ image }) => image).toSorted()).toEqual(
      CHANGED.map((n) => `docker.io/acme/service-${n}:1`).toSorted(),
    )
    expect(report.bundles[0]?.moves).toHaveLength(CHANGED.length)
    const moved = await fetch(`${isolated.url}/v2/acme/service-7/manifests/1`, { method: 'HEAD' })
    expect(moved.headers.get('docker-content-digest')).toBe(SECOND[7]?.manifest.digest)
    expect(await isolated.command('show', 'acme/service-7:1')).toMatch(/imported .* from week35, /)
  })

  it('names the bundle that was lost, where only the next one comes', async () => {
    const data = join(dir.path, 'elsewhere')
    await mkdir(data)
    openDataDirectory(data).release()
    const file = join(dir.path, 'elsewhere.json')
    const upstreams = { 'docker.io': { url: NOWHERE, mode: 'offline' } }
    const storage = { dir: data, minFree: '0' }
    await writeFile(file, JSON.stringify({ admin: { listen: false }, storage, upstreams }))
    const bundle = join(dir.path, 'week35.tar')
    const importing = await mirrorCommand(['-c', file, 'import', bundle, '--no-progress'])
    expect(await importing.exited).toMatchObject({ code: 3 })
    const { id } = await headerOf('week34.json')
    expect(importing.stderr()).toContain(
      `They were in bundle week34, id ${id.slice(0, 'sha256:'.length + 12)}…, of `,
    )
  })
})

async function expectPulls(
  client: PullClient,
  repository: string,
  content: TestImage | TestIndex | undefined,
): Promise<void> {
  if (content === undefined) throw new Error('there is no such image')
  const images = 'images' in content ? content.images : [content]
  const architectures = images.map(({ platform }) => platform.architecture)
  for (const reference of [{ tag: '1' }, { digest: content.manifest.digest }]) {
    const name = { registry: 'docker.io', repository, reference }
    expect(await client.pull(name, architectures)).toEqual(client.expected(content))
  }
}

it('an import that is killed goes on where it was, alone and with the mirror', async () => {
  await using own = await makeTempDir()
  const tally = await runImportRounds({ kills: 6, dir: own.path, random: randomFrom(6) })
  expect(tally.wrong).toEqual([])
  expect(tally.files).toBeGreaterThan(0)
  expect(tally.rows).toBeGreaterThan(0)
  expect(tally.served).toBeGreaterThan(0)
})
