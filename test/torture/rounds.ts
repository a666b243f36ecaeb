import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MirrorProgram } from '../e2e/support/mirror-program.ts'
import { startMirror } from '../e2e/support/mirror-program.ts'
import { FakeRegistry } from '../support/fake-registry.ts'
import type { Looked } from './findings.ts'
import { lookAtFiles, lookAtRows } from './findings.ts'
import type { Injection } from './inject.ts'
import { canInject, injectFailures } from './inject.ts'
import type { LoadTally } from './load.ts'
import { fillRegistry, pullForever, pullOnce } from './load.ts'
import type { Random } from './random.ts'
import { pick } from './random.ts'

/** Rounds on one data directory: every other one has a quota, so that there is evicting as well. */
const ROUNDS_PER_DIRECTORY = 20
const QUOTA = '12MiB'
const LONGEST_ROUND_MS = 1_200
const CALLS = ['pwritev:EIO', 'pwritev:ENOSPC', 'rename:EIO', 'rename:ENOSPC', 'pwrite64:EIO']

export interface Tally extends LoadTally, Looked {
  kills: number
  stops: number
  injected: number
  held: number
  slowestStartMs: number
}

interface Options {
  readonly kills: number
  readonly dir: string
  readonly random: Random
  readonly onRound: (done: number, tally: Tally) => void
}

/** Ends early when something was wrong: the data directory is evidence. */
export async function runRounds({ kills, dir, random, onRound }: Options): Promise<Tally> {
  const counts = { kills: 0, stops: 0, injected: 0, answers: 0, broken: 0 }
  const tally: Tally = { ...counts, files: 0, rows: 0, held: 0, slowestStartMs: 0, wrong: [] }
  await using registry = await FakeRegistry.start()
  const paths = fillRegistry(registry)
  const injects = await canInject()
  let held = new Set<string>()
  for (let round = 0; tally.kills < kills && tally.wrong.length === 0; round += 1) {
    const generation = Math.floor(round / ROUNDS_PER_DIRECTORY)
    if (round % ROUNDS_PER_DIRECTORY === 0) held = new Set()
    const hasQuota = generation % 2 === 1
    const dataDir = join(dir, `data-${generation}`)
    const began = Date.now()
    const mirror = await start(registry, dir, dataDir, hasQuota)
    tally.slowestStartMs = Math.max(tally.slowestStartMs, Date.now() - began)
    await checkRunning(mirror, registry, dataDir, hasQuota ? new Set() : held, tally)
    const plan = { mirror, paths, random, tally, held }
    const call = injects && round % 5 === 4 ? pick(random, CALLS) : undefined
    if (call !== undefined) tally.injected += 1
    const injection = call && (await injectFailures(mirror.program.pid, call))
    await workAndDie({ ...plan, ...(injection && { injection }) })
    await lookAtFiles(dataDir, tally)
    onRound(round + 1, tally)
  }
  return tally
}

/** Before or after, never between: rows have their files, and what was held needs no upstream. */
async function checkRunning(
  mirror: MirrorProgram,
  registry: FakeRegistry,
  dataDir: string,
  held: ReadonlySet<string>,
  tally: Tally,
): Promise<void> {
  await lookAtRows(dataDir, tally)
  const down = registry.inject({ action: { status: 503 } })
  for (const path of held) {
    const outcome = await pullOnce(mirror.url, path, false, AbortSignal.timeout(30_000))
    tally.held += 1
    if (outcome !== 'hit') tally.wrong.push(`${path} was held, and is ${outcome} after the kill`)
  }
  down.remove()
}

interface Plan {
  readonly mirror: MirrorProgram
  readonly paths: readonly string[]
  readonly random: Random
  readonly tally: Tally
  readonly held: Set<string>
  readonly injection?: Injection
}

async function workAndDie({ mirror, paths, random, tally, held, injection }: Plan): Promise<void> {
  const over = new AbortController()
  const { url, program } = mirror
  const onHit = (path: string) => held.add(path)
  const pulling = pullForever(url, paths, random, tally, onHit, over.signal)
  await sleep(random() * LONGEST_ROUND_MS)
  // Now and then it is asked to end, and is killed while it does.
  if (random() < 0.1) {
    program.kill('SIGTERM')
    tally.stops += 1
    await sleep(random() * 300)
  }
  program.kill('SIGKILL')
  tally.kills += 1
  await program.exited
  over.abort()
  await pulling
  await injection?.ended
}

function start(
  registry: FakeRegistry,
  dir: string,
  dataDir: string,
  hasQuota: boolean,
): Promise<MirrorProgram> {
  return startMirror({
    dir,
    dataDir,
    config: {
      defaultUpstream: 'registry.test',
      upstreams: { 'registry.test': { url: registry.url, connections: 16 } },
      ...(hasQuota && { storage: { dir: dataDir, minFree: '0', maxSize: QUOTA } }),
      log: { level: 'warn', format: 'json' },
    },
  })
}
