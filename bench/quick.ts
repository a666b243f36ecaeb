import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureDebianPackage } from '../test/e2e/support/debian-packages.ts'
import { findPeers } from './peers/find-peers.ts'
import { OURS } from './peers/oci-mirror.ts'
import { compare, ratiosOf } from './report/guard.ts'
import type { Ratios } from './report/guard.ts'
import { tellMeasured } from './report/progress.ts'
import { Summary } from './report/summary.ts'
import { runRounds } from './run.ts'
import { makeBenchDir } from './support/bench-dir.ts'
import { coldBlob } from './work/cold-blob.ts'
import { herd } from './work/herd.ts'
import { manifests } from './work/manifests.ts'
import { warmBlob } from './work/warm-blob.ts'

/**
 * Whether a gross loss of speed has come in: `npm run bench:quick`. It prints our ratios to Debian's mirrors
 * next to those of bench/results/quick.json, which `-- --record` rewrites. The exit code is 1 if one is
 * worse than half of what it was.
 */
const RECORDED = join(import.meta.dirname, 'results/quick.json')
const BYTES = 256 * 2 ** 20
const ROUNDS = 2
const PEERS = ['distribution-2', 'nginx']
const WORKS = [
  manifests({ seconds: 1, warmUpSeconds: 1 }),
  warmBlob({ bytes: BYTES, times: 6 }),
  { ...coldBlob({ bytes: BYTES }), direct: false },
  herd({ herds: [20], bytes: BYTES / 2, deadlineMs: 20_000 }),
]

const { values } = parseArgs({ options: { record: { type: 'boolean', default: false } } })
const measured = await measure()
if (values.record) await writeFile(RECORDED, `${JSON.stringify(measured, undefined, 2)}\n`)
const recorded = JSON.parse(await readFile(RECORDED, 'utf8')) as Ratios
const comparisons = compare(WORKS, recorded, measured)
say('Our figures divided by theirs (as recorded):')
for (const { text } of comparisons) say(`  ${text}`)
const lost = comparisons.filter(({ isLost }) => isLost)
for (const { text } of lost) say(`Grossly worse: ${text}`)
if (lost.length > 0) process.exitCode = 1
else say('Nothing is worse than half of what was recorded.')

async function measure(): Promise<Ratios> {
  for (const program of ['docker-registry', 'wrk']) await ensureDebianPackage(program)
  const { peers, missing } = await findPeers([OURS, ...PEERS])
  for (const { name, reason } of missing) throw new Error(`bench: no ${name}: ${reason}`)
  await using dir = await makeBenchDir()
  const options = { works: WORKS, peers, rounds: ROUNDS, dir: dir.path }
  const { measurements } = await runRounds({ ...options, onMeasured: tellMeasured })
  return ratiosOf(WORKS, PEERS, new Summary(measurements))
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
