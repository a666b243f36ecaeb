import { makeTempDir } from '../support/temp-dir.ts'
import { readOptions } from './options.ts'
import { randomFrom } from './random.ts'
import type { Tally } from './rounds.ts'
import { runRounds } from './rounds.ts'

/**
 * Kills the mirror at random moments under load, again and again on the same data, and looks each time at
 * what is left: `npm run torture -- --kills 200 --seed 1`. The exit code is 1 if anything was wrong.
 */
const { kills, seed } = readOptions(200, 1)

await using dir = await makeTempDir()
const began = Date.now()
process.stdout.write(`torture: ${kills} kills, seed ${seed}\n`)
const tally = await runRounds({ kills, dir: dir.path, random: randomFrom(seed), onRound: progress })
report(tally)
process.exitCode = tally.wrong.length === 0 ? 0 : 1

function progress(done: number, so: Tally): void {
  if (done % 10 === 0 || so.wrong.length > 0) {
    process.stdout.write(`  ${done} rounds, ${so.answers} answers, ${so.wrong.length} wrong\n`)
  }
}

function report(so: Tally): void {
  const seconds = Math.round((Date.now() - began) / 1000)
  const lines = [
    `${so.kills} kills and ${so.stops} stops in ${seconds} s, ${so.injected} rounds with failing calls`,
    `${so.answers} answers, ${so.broken} cut or refused while it died or its disk failed`,
    `${so.files} times a file was hashed, ${so.rows} times a row compared, ${so.held} times held content asked for with upstream down`,
    `slowest start to an answer: ${so.slowestStartMs} ms`,
    so.wrong.length === 0 ? 'nothing was wrong' : `WRONG:\n${so.wrong.join('\n')}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
