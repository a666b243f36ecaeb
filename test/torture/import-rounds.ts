import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openDataDirectory } from '../../src/store/data-directory.ts'
import { buildBundle, writeBundle } from '../airgap/import/build-bundle.ts'
import { startMirror } from '../e2e/support/mirror-program.ts'
import { buildImage } from '../support/images.ts'
import type { CommandOptions, CommandScene, CommandTally } from './command-rounds.ts'
import { emptyTally, pullAll, REPOSITORY, runAndKill } from './command-rounds.ts'
import { countBlobFiles, heldBlobs, lookAtFiles, lookAtRows, statBlob } from './findings.ts'
import type { Random } from './random.ts'

const IMAGES = 24
/** Milliseconds since the first blob of the round came. */
const LONGEST_PAUSE_MS = 800
/** Nothing listens there: what is served comes from the bundle. */
const NOWHERE = 'http://127.0.0.1:9'

const CONFIG = {
  upstreams: { 'docker.io': { url: NOWHERE, mode: 'offline' } },
  log: { level: 'warn', format: 'json' },
}

interface Scene extends CommandScene {
  readonly bundle: string
}

/**
 * Kills an import at random moments, every other time together with the mirror that takes it in. What has come
 * is never written again, nothing wrong is left or served, and a last run finishes. Ends early when something
 * was wrong.
 */
export async function runImportRounds(options: CommandOptions): Promise<CommandTally> {
  const { kills, dir, random, onRound } = options
  const tally = emptyTally()
  const images = Array.from({ length: IMAGES }, (_, n) =>
    buildImage({ seed: `import ${n}`, layers: 2, layerBytes: 3_000_000 }),
  )
  const carried = images.map((content, n) => ({ image: `docker.io/${REPOSITORY}:v${n}`, content }))
  const bundle = await writeBundle(dir, 'torture.tar', buildBundle(carried))
  let generation = 0
  const begin = async (): Promise<Scene> => {
    const dataDir = join(dir, `import-${generation}`)
    await mkdir(dataDir, { recursive: true })
    openDataDirectory(dataDir).release()
    return { dir, dataDir, config: CONFIG, bundle, images, tally }
  }
  let scene = await begin()
  while (tally.kills < kills && tally.wrong.length === 0) {
    const isDone = await oneRound(scene, random)
    onRound?.(tally.kills, tally)
    if (!isDone || tally.wrong.length > 0) continue
    await finish(scene)
    await rm(scene.dataDir, { recursive: true })
    generation += 1
    scene = await begin()
  }
  if (tally.wrong.length === 0) await finish(scene)
  return tally
}

/** Whether it came to its end. */
async function oneRound(scene: Scene, random: Random): Promise<boolean> {
  const { dataDir, bundle, tally } = scene
  const before = await heldFiles(dataDir)
  const files = countBlobFiles(dataDir)
  const isDone = await runAndKill(scene, ['import', bundle, '--no-progress'], {
    hasBegun: () => countBlobFiles(dataDir) > files,
    pauseMs: random() * LONGEST_PAUSE_MS,
  })
  const after = await heldFiles(dataDir)
  for (const [digest, inode] of before) {
    tally.kept += 1
    if (after.get(digest) !== inode) tally.wrong.push(`${digest} was here, and was written again`)
  }
  await lookAtFiles(dataDir, tally)
  return isDone
}

/** Imports the rest, and pulls everything. */
async function finish(scene: Scene): Promise<void> {
  const { dir, dataDir, config, bundle, tally } = scene
  const mirror = await startMirror({ dir, dataDir, config })
  const said = await mirror.command('import', bundle, '--output', 'json', '--no-progress')
  const { bundles } = JSON.parse(said) as { bundles: { images: { state: string }[] }[] }
  for (const { state } of bundles.flatMap((one) => one.images)) {
    if (state !== 'committed' && state !== 'unchanged') tally.wrong.push(`an image is ${state}`)
  }
  await pullAll(mirror, scene, 'imported')
  await mirror.stop()
  await lookAtRows(dataDir, tally)
}

/** The files of the blobs that the catalog has, by their inodes: one that is written again has another. */
async function heldFiles(dataDir: string): Promise<ReadonlyMap<string, number>> {
  const held = new Map<string, number>()
  for (const digest of heldBlobs(dataDir)) {
    const found = await statBlob(dataDir, digest)
    if (found !== undefined) held.set(digest, found.ino)
  }
  return held
}
