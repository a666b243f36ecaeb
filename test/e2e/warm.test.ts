import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WarmReport } from '../../src/core/airgap/warm-api.ts'
import { buildArtifact, buildReferrersIndex, descriptor } from '../support/artifacts.ts'
import type { TestImage } from '../support/images.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { expectTrueNames } from '../support/oracle.ts'
import type { TempDir } from '../support/temp-dir.ts'
import { makeTempDir } from '../support/temp-dir.ts'
import { randomFrom } from '../torture/random.ts'
import { runWarmRounds } from '../torture/warm-rounds.ts'
import type { Registry } from './registries/distribution.ts'
import { DISTRIBUTION_2, startDistribution } from './registries/distribution.ts'
import { pushImage } from './registries/push.ts'
import type { MirrorProgram } from './support/mirror-program.ts'
import { startMirror } from './support/mirror-program.ts'

const PLATFORMS = ['amd64', 'arm64', 's390x'].map((architecture) => ({ os: 'linux', architecture }))
const [AMD64, ARM64, S390X] = PLATFORMS.map((platform) =>
  buildImage({ seed: 'warm e2e', layerBytes: 200_000, platform }),
) as [TestImage, TestImage, TestImage]
const INDEX = buildIndex([AMD64, ARM64, S390X])
const SIGNATURE = buildArtifact({ seed: 'cosign' })
const SBOM = buildArtifact({ subject: AMD64.manifest, artifactType: 'application/spdx+json' })
const NAME = 'docker.io/acme/app:1'

let dir: TempDir
let registry: Registry
let mirror: MirrorProgram

beforeAll(async () => {
  dir = await makeTempDir()
  registry = await startDistribution({ program: DISTRIBUTION_2, dir: dir.path })
  const target = { url: registry.url, repository: 'acme/app' }
  await pushImage(target, INDEX, '1')
  await pushImage(target, SIGNATURE, `${INDEX.manifest.digest.replace(':', '-')}.sig`)
  await pushImage(target, SBOM)
  const described = { ...descriptor(SBOM.manifest), artifactType: 'application/spdx+json' }
  const list = { manifest: buildReferrersIndex([described]), images: [SBOM] }
  // What a client does for a registry that has no referrers API.
  await pushImage(target, list, AMD64.manifest.digest.replace(':', '-'))
  mirror = await startMirror({
    dir: dir.path,
    config: {
      upstreams: { 'docker.io': { url: registry.url } },
      warm: { platforms: ['linux/amd64', 'linux/arm64'] },
    },
  })
})
afterAll(async () => {
  await mirror?.stop()
  await registry?.stop()
  await dir?.remove()
})

async function get(path: string): Promise<number> {
  const response = await fetch(`${mirror.url}/v2/acme/app/${path}`)
  await response.arrayBuffer()
  return response.status
}

describe("a mirror before Debian's registry", () => {
  it('is warmed with signatures and SBOMs, by a list, and then needs the registry no more', async () => {
    const list = join(dir.path, 'images.txt')
    const lock = join(dir.path, 'images.lock')
    await writeFile(list, 'acme/app:1\n')
    const plan = await mirror.command('warm', '-f', list, '--dry-run')
    expect(plan).toMatch(/^docker\.io +1 +0 +1 +\d+ kB +2 +-$/m)
    expect(plan).toMatch(/^total 1 image for linux\/amd64, linux\/arm64: /m)
    const said = await mirror.command(
      'warm',
      '-f',
      list,
      '--lock',
      lock,
      '--pin',
      '--output',
      'json',
    )
    const report = JSON.parse(said) as WarmReport
    expect(report.images).toMatchObject([
      {
        image: NAME,
        from: `${list}:1`,
        state: 'fetched',
        digest: INDEX.manifest.digest,
        platforms: [
          { platform: 'linux/amd64', digest: AMD64.manifest.digest },
          { platform: 'linux/arm64', digest: ARM64.manifest.digest },
        ],
        attachments: 2,
      },
    ])
    expect(await mirror.command('warm', '-f', lock)).toMatch(/ 0 blobs, 0 B fetched/)
    expect(await readFile(lock, 'utf8')).toContain(`linux/arm64: ${ARM64.manifest.digest}`)

    await registry.stop()
    const signature = `${INDEX.manifest.digest.replace(':', '-')}.sig`
    const parts = [AMD64, ARM64, SIGNATURE, SBOM]
    const paths = [
      ...['1', signature, ...parts.map(({ manifest }) => manifest.digest)].map(
        (reference) => `manifests/${reference}`,
      ),
      ...parts.flatMap(({ config, layers }) =>
        [config, ...layers].map(({ digest }) => `blobs/${digest}`),
      ),
    ]
    for (const path of paths) expect([path, await get(path)]).toEqual([path, 200])
    expect(await get(`manifests/${S390X.manifest.digest}`)).toBe(503)
    const referrers = await fetch(`${mirror.url}/v2/acme/app/referrers/${AMD64.manifest.digest}`)
    expect(await referrers.json()).toMatchObject({
      manifests: [{ digest: SBOM.manifest.digest, artifactType: 'application/spdx+json' }],
    })
    await expectTrueNames(join(dir.path, 'data'))
  })
})

it('a warming that is killed goes on where it was, alone and with the mirror', async () => {
  await using own = await makeTempDir()
  const tally = await runWarmRounds({ kills: 6, dir: own.path, random: randomFrom(6) })
  expect(tally.wrong).toEqual([])
  expect(tally.kept).toBeGreaterThan(0)
  expect(tally.rows).toBeGreaterThan(0)
  expect(tally.served).toBeGreaterThan(0)
})
