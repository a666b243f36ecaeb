import { join } from 'node:path'
import { mirrorCommand, startMirror } from '../e2e/support/mirror-program.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { TestImage } from '../support/images.ts'
import { buildImage } from '../support/images.ts'
import type { CommandOptions, CommandScene, CommandTally } from './command-rounds.ts'
import { emptyTally, pullAll, REPOSITORY, runAndKill, writeConfig } from './command-rounds.ts'
import { heldBlobs, lookAtFiles, lookAtRows } from './findings.ts'
import type { Random } from './random.ts'

const IMAGES = 8
/** Milliseconds since the first blob of the round was asked for. */
const LONGEST_PAUSE_MS = 400
/** Milliseconds for a whole warming, however slow the machine is. */
const WHOLE_MS = 60_000

const NAMES = Array.from({ length: IMAGES }, (_, n) => `app:v${n}`)
const WARM = ['warm', ...NAMES, '--no-referrers']

interface Scene extends CommandScene {
  readonly registry: FakeRegistry
}

/**
 * Kills a warming at random moments, every other time together with the mirror that does it. What has landed
 * is never downloaded again, nothing wrong is left, and a last run finishes. Ends early when something was wrong.
 */
export async function runWarmRounds(options: CommandOptions): Promise<CommandTally> {
  const { kills, dir, random, onRound } = options
  const tally = emptyTally()
  await using registry = await FakeRegistry.start()
  const images = fill(registry)
  const upstreams = { 'docker.io': { url: registry.url } }
  const config = { upstreams, log: { level: 'warn', format: 'json' } }
  let generation = 0
  const sceneOf = (): Scene => ({
    registry,
    images,
    config,
    dir,
    dataDir: join(dir, `warm-${generation}`),
    tally,
  })
  while (tally.kills < kills && tally.wrong.length === 0) {
    const isDone = await oneRound(sceneOf(), random)
    onRound?.(tally.kills, tally)
    if (isDone) {
      await finish(sceneOf())
      generation += 1
    }
  }
  if (tally.wrong.length === 0) await finish(sceneOf())
  return tally
}

/** Images that share a layer, slow enough for a kill to meet them. */
function fill(registry: FakeRegistry): readonly TestImage[] {
  const images = Array.from({ length: IMAGES }, (_, n) =>
    buildImage({ seed: `warm ${n}`, layers: 2, layerBytes: 1_500_000 }),
  )
  for (const [n, image] of images.entries()) registry.add(REPOSITORY, image, `v${n}`)
  registry.inject({ kind: 'blob', action: { drip: { bytes: 256 * 1024, everyMs: 15 } } })
  return images
}

/** Whether it came to its end. */
async function oneRound(scene: Scene, random: Random): Promise<boolean> {
  const { registry, dataDir, tally } = scene
  const before = heldBlobs(dataDir)
  const asked = registry.requests.length
  const blobs = registry.count({ kind: 'blob' })
  const isDone = await runAndKill(scene, WARM, {
    hasBegun: () => registry.count({ kind: 'blob' }) > blobs,
    pauseMs: random() * LONGEST_PAUSE_MS,
  })
  const again = registry.requests
    .slice(asked)
    .filter(({ kind, reference = '' }) => kind === 'blob' && before.has(reference))
  tally.kept += before.size
  tally.wrong.push(
    ...again.map(({ reference }) => `${reference} was here, and was downloaded again`),
  )
  if (heldBlobs(dataDir).size > 0) {
    await lookAtFiles(dataDir, tally)
    await lookAtRows(dataDir, tally)
  }
  return isDone
}

/** Warms the rest, and pulls everything with the registry stopped. */
async function finish(scene: Scene): Promise<void> {
  const { registry, dir, dataDir, config, tally } = scene
  const warming = await mirrorCommand(['-c', await writeConfig(scene), ...WARM])
  const late = AbortSignal.timeout(WHOLE_MS)
  late.addEventListener('abort', () => warming.kill('SIGKILL'))
  const { code } = await warming.exited
  if (code !== 0) tally.wrong.push(`the last warming ended with ${code}: ${warming.stderr()}`)
  await registry.stop()
  const mirror = await startMirror({ dir, dataDir, config })
  await pullAll(mirror, scene, 'warmed')
  await mirror.stop()
  await registry.restart()
}
