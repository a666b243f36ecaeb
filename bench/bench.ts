import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureDebianPackage } from '../test/e2e/support/debian-packages.ts'
import { DIRECT } from './peers/direct.ts'
import { findPeers, PEER_NAMES } from './peers/find-peers.ts'
import { readOptions, USAGE } from './options.ts'
import type { BenchOptions } from './options.ts'
import { renderReport } from './report/render.ts'
import { runRounds } from './run.ts'
import { makeBenchDir } from './support/bench-dir.ts'
import { describeMachine } from './support/machine.ts'
import { tellMeasured } from './report/progress.ts'
import { WORKS } from './works.ts'

/**
 * Ours and other mirrors, side by side on this machine: `npm run bench`. README.md in this folder tells
 * what is measured, and how to read the table.
 */
const RESULTS = join(import.meta.dirname, 'results')

const options = optionsOrEnd()
if (options !== undefined) {
  const report = await bench(options)
  process.stdout.write(`\n${report}`)
  if (options.output !== undefined) await writeFile(options.output, report)
  if (options.save !== undefined) {
    const file = join(RESULTS, `${new Date().toISOString().slice(0, 10)}-${options.save}.md`)
    await writeFile(file, report)
    process.stdout.write(`\nKept as ${file}\n`)
  }
}

function optionsOrEnd(): BenchOptions | undefined {
  try {
    const works = WORKS.map(({ name }) => name)
    return readOptions(process.argv.slice(2), { works, peers: PEER_NAMES })
  } catch (error) {
    // Whoever mistyped a word needs the words that there are, and no stack.
    process.stderr.write(`bench: ${(error as Error).message}\n${USAGE}\n`)
    process.exitCode = 2
    return undefined
  }
}

async function bench({ rounds, works: names, peers: wanted }: BenchOptions): Promise<string> {
  for (const program of ['docker-registry', 'wrk']) await ensureDebianPackage(program)
  const works = WORKS.filter(({ name }) => names.includes(name))
  const { peers, missing } = await findPeers(wanted)
  await using dir = await makeBenchDir()
  const begun = performance.now()
  const results = await runRounds({
    works,
    peers,
    rounds,
    dir: dir.path,
    onMeasured: tellMeasured,
  })
  const minutes = (performance.now() - begun) / 60_000
  return renderReport({
    ...results,
    facts: [
      `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, ${minutes.toFixed(1)} minutes`,
      ...(await describeMachine()),
    ],
    rounds,
    works,
    peers: [...peers, { name: DIRECT, version: 'is the upstream itself, without a mirror' }],
    missing,
  })
}
