import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MirrorConfig, MirrorProgram } from '../e2e/support/mirror-program.ts'
import { mirrorCommand, startMirror } from '../e2e/support/mirror-program.ts'
import type { TestImage } from '../support/images.ts'
import type { Looked } from './findings.ts'
import type { Random } from './random.ts'

export const REPOSITORY = 'library/app'

const LOOK_MS = 10

export interface CommandTally extends Looked {
  kills: number
  /** Commands that came to their end before they were killed. */
  finished: number
  /** Times that a blob which was here had to stay as it was. */
  kept: number
  /** Parts that were served at the end with no upstream. */
  served: number
}

export interface CommandOptions {
  readonly kills: number
  readonly dir: string
  readonly random: Random
  readonly onRound?: (done: number, tally: CommandTally) => void
}

/** Where commands run, and what the mirror has that does what they say. */
export interface CommandScene {
  readonly dir: string
  readonly dataDir: string
  readonly config: MirrorConfig
  /** By their tags: `v0` and so on. */
  readonly images: readonly TestImage[]
  readonly tally: CommandTally
}

export function emptyTally(): CommandTally {
  return { kills: 0, finished: 0, kept: 0, files: 0, rows: 0, served: 0, wrong: [] }
}

/** When to kill: some time after work began, so that slow machines and quick ones meet the same. */
export interface Moment {
  /** Asked for again and again while the command runs. */
  readonly hasBegun: () => boolean
  /** Milliseconds since then. */
  readonly pauseMs: number
}

/** Kills the command, every other time together with the mirror that does it. Whether it came to its end. */
export async function runAndKill(
  scene: CommandScene,
  args: readonly string[],
  { hasBegun, pauseMs }: Moment,
): Promise<boolean> {
  const { dir, dataDir, config, tally } = scene
  const withMirror = tally.kills % 2 === 1
  const mirror = withMirror ? await startMirror({ dir, dataDir, config }) : undefined
  const file = mirror?.file ?? (await writeConfig(scene))
  const command = await mirrorCommand(['-c', file, ...args])
  const over = command.exited.then(() => true)
  const isOverIn = (ms: number) => Promise.race([over, sleep(ms).then(() => false)])
  while (!hasBegun() && !(await isOverIn(LOOK_MS)));
  const isDone = await isOverIn(pauseMs)
  mirror?.program.kill('SIGKILL')
  await mirror?.program.exited
  command.kill('SIGKILL')
  await command.exited
  tally.kills += 1
  if (isDone) tally.finished += 1
  return isDone
}

/** Of a mirror that does not run. */
export async function writeConfig({ dir, dataDir, config }: CommandScene): Promise<string> {
  const file = join(dir, 'command.json')
  const storage = { dir: dataDir, minFree: '0' }
  await writeFile(file, JSON.stringify({ admin: { listen: false }, storage, ...config }))
  return file
}

/** Everything has to be there once the last command `done` it. */
export async function pullAll(
  { url }: MirrorProgram,
  { images, tally }: CommandScene,
  done: string,
): Promise<void> {
  for (const [n, { config, layers }] of images.entries()) {
    const blobs = [config, ...layers].map(({ digest }) => `blobs/${digest}`)
    for (const path of [`manifests/v${n}`, ...blobs]) {
      const response = await fetch(`${url}/v2/${REPOSITORY}/${path}`)
      await response.arrayBuffer()
      if (response.status === 200) tally.served += 1
      else tally.wrong.push(`${path} is ${response.status} after all of it was ${done}`)
    }
  }
}
